//! What `scripts/bench.sh` leaves to a program: how much memory a command takes with all its
//! children, and the table of what was measured.

mod cli;
mod memory;
mod runs;
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    pipe_kit::main::<cli::Cli>("bench", cli::run)
}
