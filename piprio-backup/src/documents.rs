//! Man pages and completions, from the same definitions as `--help`.

mod completions;
mod page;
mod synopsis;

use crate::cli::Cli;
use crate::programs::{PROGRAMS, Program, named};
use crate::scripts::SCRIPTS;
use anyhow::{Context, Result};
use chrono::DateTime;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use page::{NAME, Page};
use std::ffi::OsStr;
use std::path::Path;

/// The whole command line: the scripts, and the programs with their own options.
pub fn whole_command() -> Command {
    let scripts = SCRIPTS.iter().map(crate::scripts::Script::command);
    let programs = PROGRAMS.iter().map(command_of);
    let env = named("deploy-env".as_ref()).map(command_of);
    let doctor = env.and_then(|env| env.find_subcommand("doctor").cloned());
    let whole = Cli::command().mut_subcommand("doctor", |hidden| doctor.unwrap_or(hidden));
    whole.subcommands(scripts).subcommands(programs)
}

fn command_of(program: &Program) -> Command {
    (program.command)().name(program.name)
}

/// Prints what a shell reads to complete `piprio-backup`, or one program under its own name.
///
/// # Errors
/// If stdout cannot be written to.
pub fn print_completions(shell: Shell, program: &str) -> Result<()> {
    let own = named(OsStr::new(program)).map(command_of);
    let command = own.unwrap_or_else(whole_command);
    pipe_kit::output::print(&completions::generate(shell, &command, program))
}

/// Writes a page of `piprio-backup`, of every program, and of each of their commands into `man1` below the directory.
///
/// # Errors
/// If a file cannot be written.
pub fn write_man_pages(dir: &Path) -> Result<()> {
    let pages = dir.join("man1");
    std::fs::create_dir_all(&pages).with_context(|| format!("creating {}", pages.display()))?;
    let date = date_of_build();
    let mut whole = whole_command();
    whole.build();
    write_page(&Page::new(&whole, &[NAME], &date), &pages)?;
    for command in whole.get_subcommands() {
        let name = command.get_name();
        match named(name.as_ref()) {
            Some(program) => write_pages_of(program, &date, &pages)?,
            None if name == "help" => {}
            None => write_page(&Page::new(command, &[NAME, name], &date), &pages)?,
        }
    }
    Ok(())
}

/// The date in the pages; none in those of a build without one, so that the same program writes the same pages.
fn date_of_build() -> String {
    let seconds = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let date = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    date.map(|date| date.format("%Y-%m-%d").to_string()).unwrap_or_default()
}

fn write_pages_of(program: &Program, date: &str, pages: &Path) -> Result<()> {
    let mut command = command_of(program);
    command.build();
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        write_page(&Page::new(sub, &[program.name, sub.get_name()], date), pages)?;
    }
    write_page(&Page::new(&command, &[program.name], date), pages)
}

fn write_page(page: &Page, pages: &Path) -> Result<()> {
    let path = pages.join(format!("{}.1", page.name()));
    let text = page.render().context("making a man page")?;
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}
