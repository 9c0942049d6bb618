//! How many requests are under way at once: more, as long as more gets through.

use std::time::{Duration, Instant};

/// What a run starts with.
const START: usize = 32;
/// The most.
const MOST: usize = 256;
/// The least, after a server has asked for fewer.
const LEAST: usize = 4;
/// How long a number is tried.
const TRIAL: Duration = Duration::from_millis(400);
/// An object counts as so many bytes more than it has: a small one costs a request all the same.
const REQUEST: u64 = 32 * 1024;

/// A number of requests that adapts, or one that was asked for.
#[derive(Debug)]
pub struct Pace {
    limit: usize,
    is_fixed: bool,
    best: f64,
    moved: u64,
    since: Instant,
}

impl Pace {
    /// One that adapts, or the number asked for.
    #[must_use]
    pub fn new(jobs: Option<usize>, now: Instant) -> Self {
        let limit = jobs.unwrap_or(START);
        Self { limit, is_fixed: jobs.is_some(), best: 0.0, moved: 0, since: now }
    }

    /// How many may be under way.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Notes an object that is through. `is_full` says whether as many were under way as may be: only
    /// then does the rate say something about the number.
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
            // The way has become slower; what it bears is found anew.
            self.best = rate;
            self.limit = (self.limit * 3 / 4).max(START.min(self.limit));
        }
    }

    /// Notes that the server asked for fewer requests.
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

    /// Runs against a server that gets so many requests through at once, each in 30 ms.
    fn settles(capacity: usize) -> usize {
        let mut now = Instant::now();
        let mut pace = Pace::new(None, now);
        for _ in 0..400 {
            now += Duration::from_millis(30);
            let limit = pace.limit();
            for _ in 0..limit.min(capacity) {
                pace.done(14_000, true, now);
            }
        }
        pace.limit()
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
        let mut fixed = Pace::new(Some(7), start);
        fixed.done(1, true, later(1));
        fixed.busy(later(2));
        assert_eq!(fixed.limit(), 7);
        let mut pace = Pace::new(None, start);
        for n in 1..10 {
            pace.busy(later(n));
        }
        assert_eq!(pace.limit(), LEAST);
        // What waits for the listing says nothing about the number.
        pace.done(1 << 30, false, later(20));
        assert_eq!(pace.limit(), LEAST);
        pace.done(1 << 30, true, later(30));
        assert!(pace.limit() > LEAST);
    }
}
