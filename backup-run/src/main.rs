//! The guarded backup sequence: a deployment into a bundle.

fn main() -> std::process::ExitCode {
    pipe_kit::main::<backup_run::Cli>("backup-run", backup_run::run)
}
