//! Man pages and completions, from the same definitions as `--help`.

use crate::cli::Cli;
use crate::programs::PROGRAMS;
use crate::scripts::SCRIPTS;
use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use std::path::Path;

/// The whole command line: the scripts, and the programs with their own options.
pub fn whole_command() -> Command {
    let scripts = SCRIPTS.iter().map(|script| Command::new(script.name).about(script.about));
    let programs = PROGRAMS.iter().map(|program| (program.command)().name(program.name));
    Cli::command().subcommands(scripts).subcommands(programs)
}

/// Prints what a shell reads to complete `piprio-backup`, and every program by its own name.
///
/// # Errors
/// If stdout cannot be written to.
pub fn print_completions(shell: Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut whole_command(), "piprio-backup", &mut text);
    pipe_kit::output::print(&String::from_utf8_lossy(&text))
}

/// Writes the page of every program and of each of its subcommands into `man1` below the directory.
///
/// # Errors
/// If a file cannot be written.
pub fn write_man_pages(dir: &Path) -> Result<()> {
    let pages = dir.join("man1");
    std::fs::create_dir_all(&pages).with_context(|| format!("creating {}", pages.display()))?;
    for program in &PROGRAMS {
        write_pages_of((program.command)().name(program.name), &pages)?;
    }
    write_page(Cli::command(), &pages)
}

fn write_pages_of(mut command: Command, pages: &Path) -> Result<()> {
    command.build();
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = format!("{}-{}", command.get_name(), sub.get_name());
        write_page(sub.clone().display_name(&name).name(name), pages)?;
    }
    write_page(command, pages)
}

fn write_page(command: Command, pages: &Path) -> Result<()> {
    let path = pages.join(format!("{}.1", command.get_name()));
    let mut text = Vec::new();
    Man::new(command).render(&mut text).context("making a man page")?;
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}
