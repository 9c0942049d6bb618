//! How many requests run at once. The number grows as long as throughput grows.

use std::time::{Duration, Instant};

const START: usize = 32;
const MOST: usize = 256;
/// The minimum, after a server has asked for fewer requests.
const LEAST: usize = 4;
/// How long one number is measured before it is judged.
const TRIAL: Duration = Duration::from_millis(400);
/// Added to the bytes of each object: a small object costs a request, too.
const REQUEST: u64 = 32 * 1024;

/// The number of requests that may run at once: adaptive, or fixed by `--jobs`.
#[derive(Debug)]
pub struct ConcurrencyLimiter {
    limit: usize,
    is_fixed: bool,
    best: f64,
    moved: u64,
    since: Instant,
}

impl ConcurrencyLimiter {
    pub fn new(jobs: Option<usize>, now: Instant) -> Self {
        let limit = jobs.unwrap_or(START);
        Self { limit, is_fixed: jobs.is_some(), best: 0.0, moved: 0, since: now }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Records a finished object. `is_full`: whether as many requests ran as the limit allows: only
    /// then does the throughput depend on the limit.
    pub fn done(&mut self, bytes: u64, is_full: bool, now: Instant) {
        self.moved += bytes + REQUEST;
        let took = now.saturating_duration_since(self.since);
        if self.is_fixed || took < TRIAL {
            return;
        }
        if is_full {
            self.judge(self.moved as f64 / took.as_secs_f64());
        }
        self.moved = 0;
        self.since = now;
    }

    fn judge(&mut self, rate: f64) {
        if rate > self.best * 1.1 {
            self.best = rate;
            self.limit = (self.limit * 3 / 2).clamp(LEAST, MOST);
        } else if rate < self.best * 0.7 {
            // The network or server has become slower: measure again from here.
            self.best = rate;
            self.limit = (self.limit * 3 / 4).max(START.min(self.limit));
        }
    }

    /// Records that the server asked for fewer requests.
    pub fn busy(&mut self, now: Instant) {
        if self.is_fixed || now.saturating_duration_since(self.since) < TRIAL / 4 {
            return;
        }
        self.limit = (self.limit / 2).max(LEAST);
        self.best = 0.0;
        self.moved = 0;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a server that handles `capacity` requests at once, each in 30 ms.
    fn settles(capacity: usize) -> usize {
        let mut now = Instant::now();
        let mut limiter = ConcurrencyLimiter::new(None, now);
        for _ in 0..400 {
            now += Duration::from_millis(30);
            let limit = limiter.limit();
            for _ in 0..limit.min(capacity) {
                limiter.done(14_000, true, now);
            }
        }
        limiter.limit()
    }

    #[test]
    fn it_grows_while_more_gets_through_and_no_further() {
        assert!((32..=72).contains(&settles(40)), "{}", settles(40));
        assert!((100..=243).contains(&settles(150)), "{}", settles(150));
        assert_eq!(settles(10_000), MOST);
    }

    #[test]
    fn a_number_asked_for_stays_and_a_busy_server_is_given_room() {
        let start = Instant::now();
        let later = |n: u32| start + TRIAL * n;
        let mut fixed = ConcurrencyLimiter::new(Some(7), start);
        fixed.done(1, true, later(1));
        fixed.busy(later(2));
        assert_eq!(fixed.limit(), 7);
        let mut limiter = ConcurrencyLimiter::new(None, start);
        for n in 1..10 {
            limiter.busy(later(n));
        }
        assert_eq!(limiter.limit(), LEAST);
        // The throughput of a transfer that waited for the listing does not depend on the limit.
        limiter.done(1 << 30, false, later(20));
        assert_eq!(limiter.limit(), LEAST);
        limiter.done(1 << 30, true, later(30));
        assert!(limiter.limit() > LEAST);
    }
}
