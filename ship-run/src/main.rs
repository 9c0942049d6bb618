//! `ship-run`: sealed copies of bundles in other places.

fn main() -> std::process::ExitCode {
    pipe_kit::main::<ship_run::Cli>("ship-run", ship_run::run)
}
