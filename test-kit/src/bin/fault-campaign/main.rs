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
mod operator;
mod processes;
mod restore_killed;
mod room;
mod script;
mod server_killed;
mod stand;
mod stopped;
mod storage;
mod table;
mod traces;
mod victim;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    pipe_kit::main::<cli::Cli>("fault-campaign", cli::run)
}
