//! The guarded restore sequence: a bundle back into a deployment.

fn main() -> std::process::ExitCode {
    pipe_kit::main::<restore_run::Cli>("restore-run", restore_run::run)
}
