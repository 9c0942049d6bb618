//! The command line.

use crate::deployment::Deployment;
use crate::layers::{Inherited, Layers};
use crate::{check, detect, doctor, environment, get, replace, report, resolve};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use pipe_kit::{Exit, Stop};
use std::ffi::OsString;
use std::path::PathBuf;

/// Resolve a deployment's settings and run a command with them in its environment
///
/// A setting comes from the process environment, else from the deployment's .env (read by Compose's
/// rules, never executed), else from its default; the rest is detected. The command and its children
/// read only the variables set here. PG* and AWS_* variables of the caller are used if they are
/// settings, like PGSSLMODE; the others are dropped with a warning. If the environment is already
/// resolved for the same deployment, the command gets it unchanged: a run keeps the settings that it
/// started with.
///
/// The deployment is --deploy DIR, else $PIPRIO_DEPLOY, else the parent of this program's directory
/// if it has a scripts/ or a .env.
#[derive(Parser, Debug)]
#[command(
    name = "deploy-env",
    version,
    after_help = AFTER,
    override_usage = "deploy-env [--deploy DIR] [--afresh] -- CMD [ARGS]…\n       deploy-env get KEY [--deploy DIR] [--reveal]\n       deploy-env show [--deploy DIR] [--json]\n       deploy-env check [--deploy DIR] [--json]\n       deploy-env doctor [--deploy DIR] [--json]\n       deploy-env detect [--deploy DIR] [--set KEY=VALUE]… [--write] [--json]\n       deploy-env replace-secrets DIR [--keep NAME]… [--set KEY=VALUE]… [--unset KEY]…",
    arg_required_else_help = true,
    args_conflicts_with_subcommands = false
)]
pub struct Cli {
    #[command(flatten)]
    quiet: pipe_kit::log::Quiet,

    /// Directory of the deployment
    #[arg(long, value_name = "DIR", global = true)]
    deploy: Option<PathBuf>,

    /// Resolve the settings again even if the environment is already resolved
    #[arg(long)]
    afresh: bool,

    /// Command to run, after `--`
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,

    #[command(subcommand)]
    verb: Option<Verb>,
}

const REPLACE: &str = "\
For a drill, or a copy of a deployment for tests. Secrets are every file in secrets/, every
variable of .env whose name is that of a secret, and passwords in URLs. One value gets one
replacement wherever it occurs, so that POSTGRES_PASSWORD and DATABASE_URL still agree. Not
replaced: certs/, PEM and JSON files, files of several lines, and a password that is also the
value of a name, as in POSTGRES_DB.
The .env is rewritten without comments. Standard output has one line for each secret:
  replaced<TAB>NAME
  kept<TAB>NAME<TAB>data-key, or another reason

EXAMPLES
  mkdir -p new && cfg-pack extract --root new < config.tar.gz && deploy-env replace-secrets new";

const DOCTOR: &str = "\
Each check is one line: ok, note, finding or skipped, what was checked, what was found, and for a
finding the command to type. Replace words in capitals in a command with your values. Queries the
servers; each program has a time limit. Changes nothing, and does not contact the destinations of
copies. With DESTDIR in the environment, searches for the schedule below it, where install.sh
writes it.

EXAMPLES
  deploy-env doctor || echo 'type the commands of the findings' >&2
  deploy-env --deploy /srv/deploy doctor --json > doctor.json || true

EXIT STATUS
  0  no finding
  1  there are findings
  2  wrong command line, or no deployment";

const DETECT: &str = "\
Compose lists the services; the database, the object storage and the cache are recognised by their
images. A line is proposed only if the value is certain. If there are two servers of a kind, or a
line would change a service (Compose files use the same variables), the decision is yours.

EXAMPLES
  deploy-env --deploy /srv/deploy detect
  deploy-env --deploy /srv/deploy detect --set PIPRIO_DOMAIN=example.com --write

EXIT STATUS
  0  no setting is missing
  1  Compose cannot read its files, or the .env cannot be written
  2  wrong command line, or no deployment
  3  settings are missing that only you know";

const AFTER: &str = "\
EXAMPLES
  deploy-env -- pg-snap status
      print the status of the deployment's database
  deploy-env --deploy /srv/drill -- obj-mirror status s3://documents
      print the status of another deployment's bucket
  deploy-env get BACKUP_ROOT
      print the directory of the bundles
  deploy-env show
      print every setting with its source and reason; secrets are masked
  deploy-env --deploy /tmp/extracted check
      check the configuration of a bundle that was extracted there
  deploy-env doctor || echo 'type the commands of the findings' >&2
      check whether tonight's backup and a restore would work

EXIT STATUS
  0  done; with a command, the command's own status
  1  a secret's or certificate's file, the service driver or the command failed; check: the settings
     do not resolve, or a file is missing; doctor: there are findings
  2  wrong command line, or an invalid or ambiguous setting; doctor: no deployment
  5  refused: no .env, or, as root, a program that others can write";

#[derive(Subcommand, Debug)]
enum Verb {
    /// Print a setting's value from the environment, the .env or its default, without detection
    Get(Get),
    /// Print every resolved setting with its source and reason; secrets are masked
    Show(Show),
    /// Check that the .env resolves by itself and that the files it names exist, without the driver
    Check(Check),
    /// Check everything that decides whether tonight's backup and a restore would work
    #[command(after_help = DOCTOR)]
    Doctor(Doctor),
    /// Find the services, and the settings that the .env lacks
    #[command(after_help = DETECT)]
    Detect(Detect),
    /// Replace the secrets of an extracted config archive by random values of the same shape
    #[command(after_help = REPLACE)]
    ReplaceSecrets(ReplaceSecrets),
}

#[derive(Args, Debug)]
struct Get {
    /// Name of the setting
    key: String,
    /// Print the value even if it is secret
    #[arg(long)]
    reveal: bool,
}

#[derive(Args, Debug)]
struct ReplaceSecrets {
    /// Directory that contains the extracted archive and nothing else
    dir: PathBuf,
    /// Variable, or file below secrets/, that the restored data needs: it stays; repeatable
    #[arg(long, value_name = "NAME")]
    keep: Vec<String>,
    /// Set a variable of .env; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Remove a variable from .env, or with * at the end all that begin with that text; repeatable
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
}

#[derive(Args, Debug)]
struct Show {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Check {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Doctor {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Detect {
    /// Set a setting in .env, but not a secret; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Add the lines to .env
    #[arg(long)]
    write: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the tool.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    let deploy = cli.deploy.as_deref();
    match cli.verb {
        Some(_) if !cli.command.is_empty() => {
            Err(Stop::usage("a subcommand cannot be combined with a command after --").into())
        }
        Some(Verb::Get(args)) => {
            let deployment = Deployment::find(deploy)?;
            let layers = Layers::read(&deployment, Inherited::All)?;
            let value = get::value(&deployment, &layers, &args.key, args.reveal)?;
            pipe_kit::output::print(&format!("{value}\n"))?;
            Ok(Exit::Done)
        }
        Some(Verb::Show(args)) => {
            let deployment = Deployment::find(deploy)?;
            let layers = Layers::read_required(&deployment, Inherited::All)?;
            let resolved = resolve::resolve(&deployment, &layers)?;
            let text = if args.json { report::json(&resolved)? } else { report::text(&resolved) };
            pipe_kit::output::print(&text)?;
            Ok(Exit::Done)
        }
        Some(Verb::Check(args)) => check::run(&Deployment::find(deploy)?, args.json),
        Some(Verb::Doctor(args)) => doctor::run(deploy, args.json),
        Some(Verb::Detect(args)) => {
            let Detect { set, write, json } = args;
            detect::run(&detect::Request { deploy, set: &set, write, json })
        }
        Some(Verb::ReplaceSecrets(args)) => {
            let report = replace::run(&replace::Request {
                dir: &args.dir,
                data_keys: &args.keep,
                set: &args.set,
                unset: &args.unset,
            })?;
            pipe_kit::output::print(&report)?;
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
