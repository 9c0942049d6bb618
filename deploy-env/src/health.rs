//! The limits of retention, the alarm, the health check and the hooks: numbers, each within a range.

use anyhow::{Result, anyhow};
use pipe_kit::Stop;

/// One number that can be set.
pub struct Limit {
    /// The setting's name, and that of the variable that tools read.
    pub key: &'static str,
    least: u32,
    most: u32,
}

/// All of them.
pub const LIMITS: [Limit; 12] = [
    Limit { key: "BACKUP_KEEP_DAILY", least: 0, most: 110_000 },
    Limit { key: "BACKUP_KEEP_WEEKLY", least: 0, most: 110_000 },
    Limit { key: "BACKUP_KEEP_MONTHLY", least: 0, most: 110_000 },
    Limit { key: "BACKUP_KEEP_YEARLY", least: 0, most: 110_000 },
    Limit { key: "ALARM_SHRINK_PERCENT", least: 0, most: 100 },
    Limit { key: "HEALTH_TIMEOUT_SECONDS", least: 1, most: 3600 },
    Limit { key: "HEALTH_MAX_LATENCY_MS", least: 1, most: 3_600_000 },
    Limit { key: "HEALTH_MIN_FREE_MIB", least: 0, most: u32::MAX },
    Limit { key: "HEALTH_MAX_BUNDLE_AGE_HOURS", least: 0, most: u32::MAX },
    Limit { key: "HEALTH_MAX_DRILL_AGE_DAYS", least: 0, most: u32::MAX },
    Limit { key: "HEALTH_MAX_SHIP_AGE_HOURS", least: 0, most: u32::MAX },
    Limit { key: "HOOK_TIMEOUT_SECONDS", least: 1, most: 86_400 },
];

impl Limit {
    /// The number as it is exported.
    ///
    /// # Errors
    /// [`Stop::usage`] if it is none, or out of its range.
    pub fn checked(&self, text: &str) -> Result<String> {
        let number = text.parse().ok().filter(|number| (self.least..=self.most).contains(number));
        let Self { key, least, most } = self;
        let wrong = || format!("{key} must be a whole number from {least} to {most}");
        number.map(|number| number.to_string()).ok_or_else(|| anyhow!(Stop::usage(wrong())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    #[test]
    fn each_has_a_default_that_is_within_its_range() {
        for limit in &LIMITS {
            let default = settings::find(limit.key).and_then(|s| s.default).unwrap();
            assert_eq!(limit.checked(default).unwrap(), default);
        }
    }

    #[test]
    fn what_is_no_number_or_out_of_range_is_a_usage_error_that_names_the_range() {
        let limit = Limit { key: "HEALTH_TIMEOUT_SECONDS", least: 1, most: 3600 };
        assert_eq!(limit.checked("010").unwrap(), "10");
        for text in ["0", "3601", "-1", "1.5", "5 s", "hunter2"] {
            let error = limit.checked(text).unwrap_err();
            assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Usage);
            let message = "HEALTH_TIMEOUT_SECONDS must be a whole number from 1 to 3600";
            assert_eq!(error.to_string(), message);
        }
    }
}
