//! Retries.

use crate::s3::fault::{Kind, StoreError};
use std::future::Future;
use std::time::Duration;

const ATTEMPTS: u32 = 6;
/// Attempts that may end without progress: each takes a minute or more.
const SILENT_ATTEMPTS: u32 = 2;
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);
/// The longest delay that a server may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// How often something has failed.
#[derive(Debug, Default)]
pub struct Attempts {
    failures: u32,
    silences: u32,
}

impl Attempts {
    /// Waits after a failure before the next attempt.
    ///
    /// # Errors
    /// The failure, if there have been too many.
    pub async fn after(&mut self, error: &StoreError) -> Result<(), StoreError> {
        self.failures += 1;
        self.silences += u32::from(error.kind == Kind::Silent);
        if self.failures == ATTEMPTS || self.silences == SILENT_ATTEMPTS {
            return Err(error.clone());
        }
        let own = pause(self.failures - 1, fastrand::f64());
        let asked = error.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        // The requested delay is a minimum; jitter keeps requests from returning all at once.
        tokio::time::sleep(if asked > own { asked + own } else { own }).await;
        Ok(())
    }
}

/// Runs `attempt` until it succeeds, fails for good, or has failed too often. `attempt` receives the number
/// of failures before it.
pub async fn retrying<T, F, Fut>(attempt: F) -> Result<T, StoreError>
where
    F: Fn(u32) -> Fut,
    Fut: Future<Output = Result<T, StoreError>>,
{
    let mut attempts = Attempts::default();
    loop {
        let error = match attempt(attempts.failures).await {
            Err(error) if error.is_transient() => error,
            result => return result,
        };
        attempts.after(&error).await?;
    }
}

/// The delay after a failure (numbered from 0): doubling, and spread by `jitter` (0 to 1) so that requests
/// that failed together do not return together.
fn pause(failures: u32, jitter: f64) -> Duration {
    let full = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
    full.mul_f64(0.5 + jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_are_spread_and_stay_bounded() {
        assert_eq!(pause(0, 1.0), Duration::from_millis(200));
        assert_eq!(pause(0, 0.0), Duration::from_millis(100));
        assert_eq!(pause(2, 1.0), Duration::from_millis(800));
        assert_eq!(pause(60, 1.0), LONGEST);
    }
}
