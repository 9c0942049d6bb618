//! `pg-snap`: the database stage. See `cli.rs` for what it does.

fn main() -> std::process::ExitCode {
    pipe_kit::main::<pg_snap::Cli>("pg-snap", pg_snap::run)
}
