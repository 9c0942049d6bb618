//! The `main` of every tool.

use crate::status::{self, Exit};
use anyhow::Result;
use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, FromArgMatches};
use std::process::ExitCode;

/// Parses the command line, runs the tool, and turns the result into an exit status. An error is one line
/// `tool: what: why` on stderr, a closed pipe a quiet non-zero status, a signal 128 + N.
pub fn main<C: CommandFactory + FromArgMatches>(
    tool: &'static str,
    run: impl FnOnce(C) -> Result<Exit>,
) -> ExitCode {
    main_of_runner::<C>(tool, |cli| {
        crate::child::end_with_parent();
        run(cli).map(Exit::code)
    })
}

/// The same for a tool that runs another program and ends with that program's exit status. It does
/// not end with its parent: the kernel takes the end of the thread that started it for that.
pub fn main_of_runner<C: CommandFactory + FromArgMatches>(
    tool: &'static str,
    run: impl FnOnce(C) -> Result<u8>,
) -> ExitCode {
    crate::log::set_tool(tool);
    if let Err(error) = crate::cleanup::watch_signals() {
        crate::log::line(format_args!("cannot handle signals: {error}"));
        return Exit::Failed.code().into();
    }
    let command = without_empty_variables(C::command());
    let parsed = command.try_get_matches().and_then(|m| C::from_arg_matches(&m));
    let result = match parsed {
        Ok(cli) => run(cli),
        Err(error) => answer(&error).map(Exit::code),
    };
    let status = match result {
        Ok(status) => status,
        Err(error) => {
            crate::cleanup::halt_if_ending();
            let exit = status::of(&error);
            if exit != Exit::ClosedPipe {
                crate::log::line(format_args!("{}", status::one_line(&error)));
            }
            exit.code()
        }
    };
    crate::cleanup::halt_if_ending();
    status.into()
}

/// Takes an empty variable of the environment for one that is not set: that is what a line `NAME=` in the .env means.
fn without_empty_variables(command: Command) -> Command {
    let is_empty =
        |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty_variables)
}

/// `--help` and `--version` are data on stdout, so a failure to write them counts; the rest is a usage error.
fn answer(error: &clap::Error) -> Result<Exit> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            crate::output::print(&error.render().to_string())?;
            Ok(Exit::Done)
        }
        _ => {
            // To stderr, as clap colours it. A stderr that cannot be written to changes nothing.
            let _ = error.print();
            Ok(Exit::Usage)
        }
    }
}
