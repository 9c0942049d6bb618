//! One fault: how often it is tried, and how a try ends.

use crate::stand::Stand;
use anyhow::Result;
use fastrand::Rng;

/// How many tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// As many as prove something.
    Full,
    /// As many as a test has time for.
    Bounded,
}

impl Scale {
    /// The number of tries at this scale.
    pub fn of(self, full: usize, bounded: usize) -> usize {
        if self == Self::Full { full } else { bounded }
    }
}

/// How a try ended in which every promise held.
pub enum Ending {
    /// In a word or two, for the table's counts.
    Held(String),
    /// This machine cannot show the fault; further tries cannot either.
    Skipped(String),
}

impl Ending {
    pub fn held(outcome: impl Into<String>) -> Result<Self> {
        Ok(Self::Held(outcome.into()))
    }
}

/// One row of the table.
pub trait Fault {
    fn name(&self) -> String;

    fn tries(&self, stand: &Stand, scale: Scale) -> usize;

    /// Shows the fault once. An error is a loss: it names the promise that was broken, and how.
    fn attempt(&self, stand: &Stand, n: usize, rng: &mut Rng, scale: Scale) -> Result<Ending>;
}
