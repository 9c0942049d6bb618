//! Values as people read them.

use std::ffi::OsStr;

/// A value as a single line: control characters are escaped, so that no value can forge a line.
#[must_use]
pub fn one_line(value: &str) -> String {
    let hidden = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    value.chars().fold(String::new(), |mut line, c| {
        if hidden(c) {
            line.extend(c.escape_default())
        } else {
            line.push(c)
        }
        line
    })
}

/// A path as a single line.
#[must_use]
pub fn path(path: &OsStr) -> String {
    one_line(&path.to_string_lossy())
}

/// A size in bytes with a binary unit: `12.3 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    let mut unit = "B";
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64;
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        // From here on, one digit after the point rounds up to the next unit.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// An age in seconds, in the largest unit of which it has at least two: `3 d`, `26 h`, `12 min`, `40 s`. A
/// negative age is `in the future`.
#[must_use]
pub fn age(seconds: i64) -> String {
    match seconds {
        ..0 => "in the future".to_owned(),
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `1 object`, `2 objects`.
#[must_use]
pub fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that hexadecimal digits stand for; none if it is something else.
#[must_use]
pub fn unhex(digits: &str) -> Option<Vec<u8>> {
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Parses a number of bytes: `500000`, `20M`, `1.5MiB`, `2GB`. Units are powers of 1,000, with an `i` of
/// 1,024.
///
/// # Errors
/// If it is none.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || "expected a number of bytes, such as 500000, 20M or 1.5MiB".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim().trim_end_matches("/s").to_ascii_lowercase();
    let factor: f64 = match unit.trim_end_matches('b') {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "ki" => 1024.0,
        "mi" => 1024.0 * 1024.0,
        "gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let bytes = number * factor;
    if (1.0..1e15).contains(&bytes) { Ok(bytes as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_from_their_digits() {
        assert_eq!(unhex(&hex(b"\x00a\xff")).as_deref(), Some(&b"\x00a\xff"[..]));
        for wrong in ["0", "0g", "é0"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_value_cannot_forge_a_line() {
        assert_eq!(
            one_line("a\nToolkit: b\r\u{1b}[1m\u{2028}"),
            "a\\nToolkit: b\\r\\u{1b}[1m\\u{2028}"
        );
        assert_eq!(one_line("Zürich 1.0"), "Zürich 1.0");
    }

    #[test]
    fn sizes_have_units() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (12_897_484, "12.3 MiB"),
            (1_610_612_736, "1.5 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn ages_have_one_unit() {
        for (seconds, text) in [
            (-1, "in the future"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (26 * 3600, "26 h"),
            (86_400 * 3 + 5, "3 d"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn counts_and_bytes_are_written_out() {
        assert_eq!([count(1, "file"), count(0, "file")], ["1 file", "0 files"]);
        assert_eq!(hex(&[0, 0x0f, 0xa0]), "000fa0");
    }

    #[test]
    fn a_rate_is_read_with_its_unit() {
        let cases = [("500000", 500_000), ("20M", 20_000_000), ("20MB/s", 20_000_000)];
        for (text, bytes) in cases.into_iter().chain([("1.5MiB", 1_572_864), ("1k", 1000)]) {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "0", "fast", "M", "-1", "1T", "1.2.3"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
