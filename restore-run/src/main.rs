//! `restore-run`: the restore stage. See `cli.rs` for what it does.

mod abandon;
mod bootstrap;
mod bundle;
mod cache;
mod cli;
mod credentials;
mod journal;
mod lock;
mod options;
mod preflight;
mod prompt;
mod restore;
mod services;
mod settings;
mod step;
mod summary;
mod tool;

fn main() -> std::process::ExitCode {
    pipe_kit::main("restore-run", cli::run)
}
