//! The command line.

use crate::deployment::Deployment;
use crate::layers::Layers;
use crate::{environment, report, resolve, settings};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use pipe_kit::{Exit, Stop};
use std::ffi::OsString;
use std::path::PathBuf;

/// Resolves a deployment's settings once and runs a command with them in its environment
///
/// Settings come from the process environment, else from the deployment's .env (read by Compose's
/// rules, never executed), else from a default; the rest is detected. The command, and everything
/// that it starts, reads only the variables set here. PG* and AWS_* variables that come from
/// outside count where they are settings, as PGSSLMODE is; the others are dropped with a warning.
/// A command started where these variables already stand for the same deployment gets them as
/// they are: a run keeps the settings that it began with.
///
/// The deployment is --deploy DIR, else $PIPRIO_DEPLOY, else the parent of the directory that holds
/// this program, if that parent has a scripts/ or a .env.
#[derive(Parser, Debug)]
#[command(
    name = "deploy-env",
    version,
    after_help = AFTER,
    override_usage = "deploy-env [--deploy DIR] [--afresh] -- CMD [ARGS]…\n       deploy-env get KEY [--deploy DIR] [--reveal]\n       deploy-env show [--deploy DIR] [--json]",
    arg_required_else_help = true,
    args_conflicts_with_subcommands = false
)]
pub struct Cli {
    #[command(flatten)]
    quiet: pipe_kit::log::Quiet,

    /// The deployment's directory
    #[arg(long, value_name = "DIR", global = true)]
    deploy: Option<PathBuf>,

    /// Resolve the settings again, where they are resolved already
    #[arg(long)]
    afresh: bool,

    /// The command to run, after `--`
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,

    #[command(subcommand)]
    verb: Option<Verb>,
}

const AFTER: &str = "\
EXAMPLES
  deploy-env -- pg-snap status
      asks the deployment's database how it is
  deploy-env --deploy /srv/drill -- obj-mirror status s3://documents
      the same for another deployment's bucket
  deploy-env get BACKUP_ROOT
      where the bundles are
  deploy-env show
      every setting, where it comes from, and why; secrets masked

EXIT STATUS
  0  done; with a command, the command's own status
  1  a file of a secret or certificate, the service driver or the command cannot be used
  2  usage, or a setting that is wrong or ambiguous
  5  refused: no .env, or, as root, a program that others may write";

#[derive(Subcommand, Debug)]
enum Verb {
    /// Print one setting's value: from the environment, the .env or its default; nothing is detected
    Get(Get),
    /// Print every resolved setting, where it comes from and why; secrets are masked
    Show(Show),
}

#[derive(Args, Debug)]
struct Get {
    /// The setting's name
    key: String,
    /// Print a secret too
    #[arg(long)]
    reveal: bool,
}

#[derive(Args, Debug)]
struct Show {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the tool.
///
/// # Errors
/// See EXIT STATUS of the help.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    let deploy = cli.deploy.as_deref();
    match cli.verb {
        Some(_) if !cli.command.is_empty() => {
            Err(Stop::usage("a verb and a command do not go together").into())
        }
        Some(Verb::Get(get)) => {
            let deployment = Deployment::find(deploy)?;
            let layers = Layers::read(&deployment)?;
            let value = settings::get(&deployment, &layers, &get.key, get.reveal)?;
            pipe_kit::output::print(&format!("{value}\n"))?;
            Ok(Exit::Done)
        }
        Some(Verb::Show(show)) => {
            let deployment = Deployment::find(deploy)?;
            let mut layers = Layers::read_required(&deployment)?;
            layers.forget_resolved();
            let resolved = resolve::resolve(&deployment, &layers)?;
            let text = if show.json { report::json(&resolved)? } else { report::text(&resolved) };
            pipe_kit::output::print(&text)?;
            Ok(Exit::Done)
        }
        None if cli.command.is_empty() => Err(Stop::usage("name a command after --").into()),
        None => environment::run(&Deployment::find(deploy)?, &cli.command, cli.afresh),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_named_like_a_verb_is_a_command() {
        let cli = Cli::parse_from(["deploy-env", "--deploy", "d", "--", "get", "--json"]);
        assert!(cli.verb.is_none());
        assert_eq!(cli.command, ["get", "--json"]);
        let cli = Cli::parse_from(["deploy-env", "get", "PIPRIO_DOMAIN", "--deploy", "d"]);
        assert!(matches!(cli.verb, Some(Verb::Get(_))));
        assert_eq!(cli.deploy.unwrap(), PathBuf::from("d"));
    }
}
