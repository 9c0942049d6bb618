//! The limit on bytes per second, over all connections together.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A limit on bytes per second, or none.
#[derive(Debug, Default)]
pub struct Rate {
    per_second: Option<u64>,
    /// When the bytes admitted so far will have passed.
    free: Mutex<Option<Instant>>,
}

impl Rate {
    pub fn new(per_second: Option<u64>) -> Self {
        Self { per_second, free: Mutex::default() }
    }

    /// Reserves bytes; returns when they may pass, or none if at once.
    pub fn reserve(&self, bytes: u64) -> Option<Instant> {
        let per_second = self.per_second?;
        let now = Instant::now();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let start = free.filter(|free| *free > now).unwrap_or(now);
        *free = Some(start + Duration::from_secs_f64(bytes as f64 / per_second as f64));
        (start > now).then_some(start)
    }

    /// Waits until the bytes may pass.
    pub async fn take(&self, bytes: u64) {
        if let Some(until) = self.reserve(bytes) {
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Parses a number of bytes: `500000`, `20M`, `1.5MiB`, `2GB`. Units are powers of 1,000, with an `i` of
/// 1,024.
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
    fn bytes_are_let_through_one_after_the_other_at_the_rate_asked_for() {
        let rate = Rate::new(Some(1000));
        let now = Instant::now();
        assert!(rate.reserve(500).is_none());
        let second = rate.reserve(1000).unwrap() - now;
        let third = rate.reserve(1).unwrap() - now;
        assert!((0.4..0.6).contains(&second.as_secs_f64()), "{second:?}");
        assert!((1.4..1.6).contains(&third.as_secs_f64()), "{third:?}");
        assert!(Rate::default().reserve(u64::MAX).is_none());
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
