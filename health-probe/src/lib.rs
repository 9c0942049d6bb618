//! Probes a deployment's services, database, cache, readiness, storage, disks and newest bundle, and prints a line
//! for each.

mod address;
mod cli;
mod limit;
mod probe;
mod probes;
mod program;
mod report;
mod round;
mod settings;

pub use cli::{Cli, run};
