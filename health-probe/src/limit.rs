//! The time limit of a probe.

use std::time::{Duration, Instant};

/// One time limit for all steps of a probe.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    whole: Duration,
    end: Instant,
}

impl Limit {
    /// A limit that begins now.
    pub fn of(whole: Duration) -> Self {
        Self { whole, end: Instant::now() + whole }
    }

    /// The time that is left. Never zero, which many clients take for no limit.
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// The whole limit.
    pub fn whole(&self) -> Duration {
        self.whole
    }

    /// The detail of a probe that did not answer in time.
    pub fn no_answer(&self) -> String {
        format!("no answer in {} s", self.whole.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_share_one_limit_and_the_whole_of_it_is_reported() {
        let limit = Limit::of(Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
        assert!(limit.left() <= Duration::from_millis(59_995));
        assert_eq!(limit.no_answer(), "no answer in 60 s");
        assert!(Limit::of(Duration::ZERO).left() > Duration::ZERO);
    }
}
