//! Where bundles and drills are kept, and what is expected of them.

use super::Resolver;
use crate::settings;
use anyhow::Result;
use pipe_kit::Stop;

/// The compression levels of `pg-snap dump`.
const LEVELS: [&str; 3] = ["fast", "default", "small"];

impl Resolver<'_> {
    pub(super) fn backups(&mut self) -> Result<()> {
        let root = self.required("BACKUP_ROOT")?;
        self.export("BACKUP_ROOT", self.deployment.path_text(&root));
        let days = self.required("BACKUP_KEEP_DAYS")?;
        if !days.parse::<u32>().is_ok_and(|days| days > 0) {
            return Err(Stop::usage("BACKUP_KEEP_DAYS must be a number of days, 1 or more").into());
        }
        self.export("BACKUP_KEEP_DAYS", days);
        let level = self.required("BACKUP_LEVEL")?;
        if !LEVELS.contains(&level.as_str()) {
            let wrong = format!("BACKUP_LEVEL must be {}", LEVELS.join(" or "));
            return Err(Stop::usage(wrong).into());
        }
        self.export("BACKUP_LEVEL", level);
        let link = settings::yes_or_no("BACKUP_LINK", &self.required("BACKUP_LINK")?)?;
        self.export("BACKUP_LINK", link.to_owned());
        Ok(())
    }

    pub(super) fn drills(&mut self) -> Result<()> {
        if let Some(dir) = self.take("DRILL_DIR") {
            self.export("DRILL_DIR", self.deployment.path_text(&dir));
        }
        let user = self.required("DRILL_USER")?;
        self.export("DRILL_USER", user);
        if let Some(names) = self.take("DRILL_DATA_KEYS") {
            self.export("DRILL_DATA_KEYS", names);
        }
        if let Some(names) = self.take("DRILL_SKIP_SERVICES") {
            let is_separator = |c: char| c == ',' || c.is_whitespace();
            let names: Vec<&str> = names.split(is_separator).filter(|it| !it.is_empty()).collect();
            self.export("DRILL_SKIP_SERVICES", names.join(" "));
        }
        for key in ["DRILL_RTO_GOAL_MINUTES", "DRILL_RPO_GOAL_HOURS"] {
            let Some(text) = self.take(key) else { continue };
            let number = text.parse::<u32>().ok().filter(|number| *number > 0);
            let number = number
                .ok_or_else(|| Stop::usage(format!("{key} must be a whole number, 1 or more")))?;
            self.export(key, number.to_string());
        }
        let hours = hours(&self.required("DRILL_TIMEOUT_HOURS")?)?;
        self.export("DRILL_TIMEOUT_HOURS", hours);
        Ok(())
    }
}

/// How long a drill may take: also a part of an hour.
fn hours(text: &str) -> Result<String> {
    const MOST: u32 = 8760;
    let hours = text.parse::<f64>().ok().filter(|hours| (0.0..=f64::from(MOST)).contains(hours));
    let wrong = || Stop::usage(format!("DRILL_TIMEOUT_HOURS must be a number from 0 to {MOST}"));
    Ok(hours.ok_or_else(wrong)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::hours;

    #[test]
    fn a_limit_may_be_a_part_of_an_hour_and_nothing_without_an_end() {
        for (text, expected) in [("12", "12"), ("0.5", "0.5"), ("0", "0"), ("08.50", "8.5")] {
            assert_eq!(hours(text).unwrap(), expected);
        }
        for text in ["", "-1", "8761", "inf", "NaN", "1,5", "1h"] {
            assert!(hours(text).is_err(), "{text}");
        }
    }
}
