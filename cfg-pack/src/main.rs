//! `cfg-pack`: settings, secrets and certificates of a deployment as one archive.

mod archive;
mod check;
mod cli;
mod compare;
mod create;
mod diff;
mod disk;
mod extract;
mod kept;
mod links;
mod list;
mod mask;
mod names;
mod plan;
mod rel_path;
mod scan;
mod select;
mod swap;
mod unified;

use crate::cli::{Cli, Command};
use pipe_kit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    pipe_kit::main::<Cli>("cfg-pack", run)
}

fn run(cli: Cli) -> anyhow::Result<Exit> {
    cli.quiet.apply();
    match cli.command {
        Command::Create(args) => create::run(&args),
        Command::List(args) => list::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Extract(args) => extract::run(&args),
    }
}
