//! `piprio-backup`: every program of the toolkit in one file, and the command that starts them.

use piprio_backup::{Cli, programs};

fn main() -> std::process::ExitCode {
    match programs::called() {
        Some(program) => (program.main)(),
        None => pipe_kit::main_of_runner::<Cli>("piprio-backup", piprio_backup::run),
    }
}
