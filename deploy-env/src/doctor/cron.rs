//! Lines of cron tables, and when they run next.

use chrono::{Datelike, Days, NaiveDateTime, NaiveTime, Timelike};

/// The most days ahead that a next run is looked for: every February 29 lies within.
const HORIZON: u64 = 366 * 8;

/// The next time at which a line runs that begins with `fields`: five, or a word such as `@daily`. None if it is never,
/// or not understood.
pub fn next(fields: &str, now: NaiveDateTime) -> Option<NaiveDateTime> {
    let fields = match fields {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        other => other,
    };
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.try_into().ok()?;
    let (minutes, hours) = (numbers(minute, 0, 59)?, numbers(hour, 0, 23)?);
    let (days, months) = (numbers(day, 1, 31)?, numbers(month, 1, 12)?);
    // Both 0 and 7 are Sunday.
    let weekdays: Vec<u32> = numbers(weekday, 0, 7)?.iter().map(|day| day % 7).collect();
    let runs_on = |at: NaiveDateTime| {
        let by_day = days.contains(&at.day());
        let by_weekday = weekdays.contains(&at.weekday().num_days_from_sunday());
        let on_day = match (day.starts_with('*'), weekday.starts_with('*')) {
            (false, false) => by_day || by_weekday,
            _ => by_day && by_weekday,
        };
        months.contains(&at.month()) && on_day
    };
    (0..HORIZON).find_map(|ahead| {
        let date = now.date().checked_add_days(Days::new(ahead))?;
        if !runs_on(date.and_time(NaiveTime::MIN)) {
            return None;
        }
        let times =
            hours.iter().flat_map(|hour| minutes.iter().map(move |minute| (*hour, *minute)));
        let times = times.filter_map(|(hour, minute)| date.and_hms_opt(hour, minute, 0));
        times.filter(|at| *at > now.with_second(0).unwrap_or(now)).min()
    })
}

/// The numbers that a field means: `*`, `3`, `1-5`, `*/15`, `1,7`.
fn numbers(field: &str, least: u32, most: u32) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let step: usize = step.parse().ok().filter(|step| *step > 0)?;
        let (from, to) = match (range, range.split_once('-')) {
            ("*", _) => (least, most),
            (_, Some((from, to))) => (from.parse().ok()?, to.parse().ok()?),
            (number, None) => {
                let number: u32 = number.parse().ok()?;
                (number, number)
            }
        };
        if from < least || to > most || from > to {
            return None;
        }
        all.extend((from..=to).step_by(step));
    }
    Some(all)
}

/// The fields of a line of a cron table and its command; the second field list of `/etc` has a user.
pub fn split(line: &str, has_user: bool) -> Option<(String, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let fields = if line.starts_with('@') { 1 } else { 5 };
    let words: Vec<&str> = line.split_whitespace().collect();
    let command = words.get(fields + usize::from(has_user)..).filter(|rest| !rest.is_empty())?;
    // A percent sign of a command has a backslash before it.
    Some((words[..fields].join(" "), command.join(" ").replace("\\%", "%")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap()
    }

    #[test]
    fn the_next_run_is_the_first_after_now() {
        // A Sunday.
        let now = at("2026-11-29 16:40:30");
        for (fields, expected) in [
            ("0 4 * * *", "2026-11-30 04:00:00"),
            ("30 4 * * 3", "2026-12-02 04:30:00"),
            ("*/15 * * * *", "2026-11-29 16:45:00"),
            ("40 16 * * *", "2026-11-30 16:40:00"),
            ("0 9-17/4 * * 1-5", "2026-11-30 09:00:00"),
            ("0 0 1 * *", "2026-12-01 00:00:00"),
            ("0 4 31 * 7", "2026-12-06 04:00:00"),
            ("0 4 29 2 *", "2028-02-29 04:00:00"),
            ("@daily", "2026-11-30 00:00:00"),
        ] {
            assert_eq!(next(fields, now), Some(at(expected)), "{fields}");
        }
        for fields in
            ["0 4 31 2 *", "0 25 * * *", "0 4 * * mon", "0 4 * *", "@reboot", "*/0 * * * *"]
        {
            assert_eq!(next(fields, now), None, "{fields}");
        }
    }

    #[test]
    fn a_line_is_divided_into_fields_and_command() {
        let of = |line, has_user| split(line, has_user);
        let pair = |fields: &str, command: &str| Some((fields.to_owned(), command.to_owned()));
        assert_eq!(of("0 4 * * * root  '/d/x' \\% 2>&1", true), pair("0 4 * * *", "'/d/x' % 2>&1"));
        assert_eq!(of("0 4 * * * /d/x", false), pair("0 4 * * *", "/d/x"));
        assert_eq!(of("@daily root /d/x", true), pair("@daily", "/d/x"));
        for line in ["# 0 4 * * * root x", "", "SHELL=/bin/sh", "0 4 * * *"] {
            assert_eq!(of(line, false), None, "{line}");
        }
    }
}
