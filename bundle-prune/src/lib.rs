//! Retention: which bundles are removed, and how.

mod bundles;
mod cli;
mod record;
mod removal;
mod report;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use cli::{Cli, run};
