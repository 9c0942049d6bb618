//! Retention: which bundles are removed, and how.

mod bundles;
mod cli;
mod clock;
#[cfg(test)]
mod clock_tests;
mod policy;
#[cfg(test)]
mod policy_tests;
mod record;
mod removal;
mod report;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use cli::{Cli, run};
