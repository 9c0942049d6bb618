//! The command line of `piprio-backup`.

use crate::install::Install;
use crate::programs::PROGRAMS;
use crate::scripts::SCRIPTS;
use clap::builder::PossibleValuesParser;
use clap::{Command, Parser, Subcommand};
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::PathBuf;

/// Back up, restore and check a self-hosted deployment.
///
/// Starts the scripts and programs of the toolkit. All arguments after COMMAND go to it; COMMAND --help describes
/// them.
#[derive(Parser, Debug)]
#[command(version, after_help = list_of_commands(), allow_external_subcommands = true)]
pub struct Cli {
    /// Directory of the deployment [default: $PIPRIO_DEPLOY, else the current directory if it has a .env]
    #[arg(long, value_name = "DIR")]
    pub(crate) deploy: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Work,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Work {
    /// Install the package into a deployment, after confirmation
    ///
    /// Shows the services that it finds, the settings that the .env lacks, and what would be written. bin/ and scripts/
    /// become links to the package, so that an upgrade of the package upgrades every deployment.
    Install(Install),
    /// Check the whole deployment, and print a command for each finding
    #[command(disable_help_flag = true)]
    Doctor {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<OsString>,
    },
    /// Print the completions of a shell
    Completions {
        /// Name of the shell
        shell: Shell,
        /// Program that is typed by its own name, such as pg-snap
        #[arg(default_value = "piprio-backup", value_parser = names())]
        program: String,
    },
    /// Write a man page of every program into DIR/man1
    Man {
        /// A directory of man pages, such as ~/.cargo/share/man
        dir: PathBuf,
    },
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

fn names() -> PossibleValuesParser {
    let programs = PROGRAMS.iter().map(|program| program.name);
    PossibleValuesParser::new(["piprio-backup"].into_iter().chain(programs))
}

/// What `--help` lists after the options: commands that are no subcommands of clap's.
fn list_of_commands() -> String {
    let scripts = SCRIPTS.iter().map(|script| (script.name, script.about.to_owned()));
    let about = |command: &Command| command.get_about().map(ToString::to_string);
    let programs = PROGRAMS
        .iter()
        .map(|program| (program.name, about(&(program.command)()).unwrap_or_default()));
    let lines = |rows: &mut dyn Iterator<Item = (&str, String)>| -> String {
        rows.map(|(name, about)| row(name, &about)).collect()
    };
    let (scripts, programs) = (lines(&mut { scripts }), lines(&mut { programs }));
    format!("The work, as scripts:\n{scripts}\nIts stages, as programs:\n{programs}")
}

/// A name and its description, whose further lines are indented as the first: clap would begin them at the margin.
fn row(name: &str, about: &str) -> String {
    const WIDTH: usize = 78;
    let mut text = format!("  {name:<16}");
    let mut used = text.len();
    for word in about.split(' ') {
        if used + 1 + word.len() > WIDTH {
            text.push_str("\n                  ");
            used = 18;
        }
        text.push(' ');
        text.push_str(word);
        used += 1 + word.len();
    }
    text + "\n"
}
