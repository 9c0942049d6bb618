//! Values as the reports show them.

use chrono::{DateTime, Utc};
use pipe_kit::text;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A time, to the second.
pub fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A time, to the minute, for tables whose heading has the zone.
pub fn minute(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M").to_string()
}

/// The day of a time.
pub fn day(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d").to_string()
}

/// How long something took, in at most two units: `0.42 s`, `12.3 s`, `4 min 12 s`, `2 h 5 min`, `3 d 4 h`. A
/// second unit of zero is left out.
pub fn duration(seconds: f64) -> String {
    let seconds = if seconds.is_finite() { seconds } else { 0.0 };
    if seconds < 0.0 {
        return format!("-{}", duration(-seconds));
    }
    // A value that rounds up to the next unit is shown in it.
    if seconds < 9.995 {
        return format!("{seconds:.2} s");
    }
    if seconds < 119.95 {
        return format!("{seconds:.1} s");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let whole = seconds.round() as u64;
    let (unit, name, part, part_name) = match whole {
        ..7200 => (MINUTE, "min", 1, "s"),
        7200..172_800 => (HOUR, "h", MINUTE, "min"),
        _ => (DAY, "d", HOUR, "h"),
    };
    match whole % unit / part {
        0 => format!("{} {name}", whole / unit),
        rest => format!("{} {name} {rest} {part_name}", whole / unit),
    }
}

/// A round duration, as a goal or the mark of an axis: `30 s`, `5 min`.
pub fn round_duration(seconds: f64) -> String {
    let text = duration(seconds);
    match text.strip_suffix(" s") {
        Some(number) if number.contains('.') => {
            format!("{} s", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

/// A round size, as the mark of an axis: `50 MiB`.
pub fn round_size(bytes: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let size = text::size(bytes as u64);
    size.replace(".0 ", " ")
}

/// A number with its thousands apart: `1,234,567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// What two numbers differ by, with its sign: `+12`, `-3`, `0`.
pub fn difference(now: u64, before: u64) -> String {
    match now.cmp(&before) {
        std::cmp::Ordering::Greater => format!("+{}", grouped(now - before)),
        std::cmp::Ordering::Less => format!("-{}", grouped(before - now)),
        std::cmp::Ordering::Equal => "0".to_owned(),
    }
}

/// Text in which every character is seen: those that control the line or the direction of writing, those without a
/// width, and those that HTML does not allow are escaped.
pub fn visible(value: &str) -> String {
    let line = text::one_line(value);
    let hidden = |c: char| {
        matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
            || u32::from(c) & 0xfffe == 0xfffe
    };
    if !line.contains(hidden) {
        return line;
    }
    line.chars().fold(String::with_capacity(line.len()), |mut seen, c| {
        if hidden(c) {
            seen.extend(c.escape_unicode())
        } else {
            seen.push(c)
        }
        seen
    })
}

/// The first `length` characters, with `…` where more follow.
pub fn shortened(value: &str, length: usize) -> String {
    match value.char_indices().nth(length) {
        Some((at, _)) => format!("{}…", &value[..at]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_have_at_most_two_units() {
        for (seconds, text) in [
            (0.0, "0.00 s"),
            (0.42, "0.42 s"),
            (9.994, "9.99 s"),
            (9.996, "10.0 s"),
            (12.34, "12.3 s"),
            (119.94, "119.9 s"),
            (119.96, "2 min"),
            (252.4, "4 min 12 s"),
            (7199.0, "119 min 59 s"),
            (7199.9, "2 h"),
            (7500.0, "2 h 5 min"),
            (26.0 * 3600.0 + 59.0, "26 h"),
            (172_800.0, "2 d"),
            (3.0 * 86_400.0 + 4.0 * 3600.0, "3 d 4 h"),
            (-30.0, "-30.0 s"),
            (f64::NAN, "0.00 s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn round_values_have_no_zeros_after_the_point() {
        for (seconds, text) in [(0.0, "0 s"), (0.5, "0.5 s"), (30.0, "30 s"), (300.0, "5 min")] {
            assert_eq!(round_duration(seconds), text);
        }
        assert_eq!([0.0, 52_428_800.0, 1536.0].map(round_size), ["0 B", "50 MiB", "1.5 KiB"]);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"].map(str::to_owned)
        );
        assert_eq!(difference(1200, 0), "+1,200");
        assert_eq!(difference(0, 3), "-3");
        assert_eq!(difference(3, 3), "0");
    }

    #[test]
    fn what_is_not_seen_is_escaped_and_the_rest_is_as_it_was() {
        assert_eq!(visible("a\tb\u{200b}\u{202e}c"), "a\\tb\\u{200b}\\u{202e}c");
        assert_eq!(visible("\u{ffff}\u{1fffe}"), "\\u{ffff}\\u{1fffe}");
        assert_eq!(visible("Zürich 東京 🙂"), "Zürich 東京 🙂");
        assert_eq!([shortened("äöü", 2), shortened("äö", 2)], ["äö…", "äö"]);
    }

    proptest! {
        #[test]
        fn any_number_is_shown(seconds in any::<f64>()) {
            prop_assert!(duration(seconds).ends_with(['s', 'n', 'h', 'd']));
            prop_assert!(!round_size(seconds).is_empty());
        }
    }
}
