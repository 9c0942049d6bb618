//! Retention: which bundles go, and their going.

mod bundles;
mod cli;
mod policy;
#[cfg(test)]
mod policy_tests;
mod removal;
mod report;

pub use cli::{Cli, run};
