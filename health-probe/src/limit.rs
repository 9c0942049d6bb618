//! By when a probe must have answered.

use std::time::{Duration, Instant};

/// One time limit for all that a probe does, however many steps that is.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    whole: Duration,
    end: Instant,
}

impl Limit {
    /// A limit that begins now.
    #[must_use]
    pub fn of(whole: Duration) -> Self {
        Self { whole, end: Instant::now() + whole }
    }

    /// What is left of it. Never nothing: to many a client, that means no limit.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// All of it.
    #[must_use]
    pub fn whole(&self) -> Duration {
        self.whole
    }

    /// What is told of something that has let it pass.
    #[must_use]
    pub fn no_answer(&self) -> String {
        format!("no answer in {} s", self.whole.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_share_one_limit_and_the_whole_of_it_is_told() {
        let limit = Limit::of(Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
        assert!(limit.left() <= Duration::from_millis(59_995));
        assert_eq!(limit.no_answer(), "no answer in 60 s");
        assert!(Limit::of(Duration::ZERO).left() > Duration::ZERO);
    }
}
