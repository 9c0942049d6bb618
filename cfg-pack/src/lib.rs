//! `cfg-pack`: settings, secrets and certificates of a deployment as one archive.

mod access;
mod accounts;
mod acl;
mod acl_text;
mod archive;
mod attached;
mod check;
mod cli;
mod compare;
mod create;
mod diff;
mod disk;
mod entry;
mod extra;
mod extract;
mod headers;
mod kept;
mod links;
mod list;
mod mask;
mod names;
mod pax;
mod plan;
mod rel_path;
mod rights;
mod scan;
mod select;
mod swap;
mod unified;
mod xattr;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use cli::Cli;

use anyhow::Result;
use cli::Command;
use pipe_kit::Exit;

/// Runs the tool.
///
/// # Errors
/// Those of the command; the exit status is in the error where it is not 1.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    match cli.command {
        Command::Create(args) => create::run(&args),
        Command::List(args) => list::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Extract(args) => extract::run(&args),
    }
}
