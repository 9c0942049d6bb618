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
}
