//! The fault campaign: what can go wrong is made to go wrong, many times, on a throwaway deployment,
//! and after each time it is asked whether anything was lost.

mod backup_killed;
mod campaign;
mod change;
mod cli;
mod corruption;
mod disk_full;
mod fault;
mod launched;
mod processes;
mod restore_killed;
mod room;
mod server_killed;
mod stand;
mod stopped;
mod storage;
mod table;
mod traces;
mod victim;

use std::process::ExitCode;

fn main() -> ExitCode {
    pipe_kit::main::<cli::Cli>("fault-campaign", cli::run)
}
