//! `piprio-backup`: every program of the toolkit in one file, and the command that starts them.

use piprio_backup::{Cli, programs};

/// musl's own serves one thread after another, which many threads of a dump or a mirror would notice.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    match programs::called() {
        Some(program) => (program.main)(),
        None => pipe_kit::main_of_runner::<Cli>("piprio-backup", piprio_backup::run),
    }
}
