//! Retention: which bundles are removed, and how.

mod bundles;
mod calendar;
#[cfg(test)]
mod calendar_tests;
mod cli;
mod clock;
#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod deployments_tests;
#[cfg(test)]
mod history;
#[cfg(test)]
mod nights_tests;
mod policy;
#[cfg(test)]
mod policy_tests;
mod record;
mod removal;
mod report;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use cli::{Cli, run};
