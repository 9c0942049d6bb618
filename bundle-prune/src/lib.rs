//! Retention: which bundles go, and their going.

mod bundles;
mod cli;
mod policy;
#[cfg(test)]
mod policy_tests;
mod removal;
mod report;

#[doc(hidden)]
pub mod fuzzing;

pub use cli::{Cli, run};
