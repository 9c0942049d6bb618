//! Retention: which bundles go, and their going.

mod bundles;
mod cli;
mod policy;
#[cfg(test)]
mod policy_tests;
mod removal;
mod report;

use std::process::ExitCode;

fn main() -> ExitCode {
    pipe_kit::main::<cli::Cli>("bundle-prune", cli::run)
}
