//! The parts of a long run, as the log names them: `[7/11] objects …`, and how long each took.

use crate::info;
use anyhow::Result;
use std::fmt;
use std::time::{Duration, Instant};

/// One part of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// Its place, from 1.
    pub number: usize,
    /// How many parts there are.
    pub total: usize,
    /// Its name.
    pub name: &'static str,
}

impl fmt::Display for Heading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}/{}] {}", self.number, self.total, self.name)
    }
}

impl Heading {
    /// Does the work, logs its start and, where it succeeds, how long it took; returns that time with the result.
    pub fn time<T>(&self, work: impl FnOnce() -> Result<T>) -> (Result<T>, Duration) {
        info!("{self} …");
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        if result.is_ok() {
            info!("{self}: {:.1} s", took.as_secs_f64());
        }
        (result, took)
    }
}
