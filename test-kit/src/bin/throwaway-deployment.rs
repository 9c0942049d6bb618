//! A deployment to try the toolkit on, in a directory.

use anyhow::Result;
use clap::{Parser, Subcommand};
use pipe_kit::Exit;
use std::path::PathBuf;
use std::process::ExitCode;
use test_kit::deployment::{Deployment, Options};

const AFTER_HELP: &str = "\
EXAMPLES
  throwaway-deployment /tmp/demo/deploy
  throwaway-deployment dump-state /tmp/demo/deploy > before
  throwaway-deployment --remove /tmp/demo/deploy

EXIT STATUS
  0 done, 1 failed (what was begun is removed), 2 usage";

/// Stand up a throwaway deployment: PostgreSQL, Redis, an S3 server and two app services on free
/// ports, run by the process driver, with the toolkit installed and data filled in
#[derive(Parser)]
#[command(
    name = "throwaway-deployment",
    version,
    after_help = AFTER_HELP,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Directory of the deployment; new or empty
    #[arg(required = true)]
    dir: Option<PathBuf>,
    /// Stop the services of the deployment in DIR and remove it
    #[arg(long, conflicts_with_all = ["external_storage", "tenants", "docs", "objects", "bin_dir"])]
    remove: bool,
    /// Object storage that is no service of the deployment
    #[arg(long)]
    external_storage: bool,
    /// Tenant schemas in the database
    #[arg(long, default_value_t = 3)]
    tenants: u32,
    /// Documents in each of them
    #[arg(long, default_value_t = 200)]
    docs: u32,
    /// Objects in the bucket
    #[arg(long, default_value_t = 48)]
    objects: usize,
    /// Directory with the built tools [default: where this program is]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Verb {
    /// Print everything that a backup must bring back, as text; equal states give equal text
    DumpState {
        /// Directory of the deployment
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    pipe_kit::main::<Cli>("throwaway-deployment", run)
}

fn run(cli: Cli) -> Result<Exit> {
    match (cli.verb, cli.dir) {
        (Some(Verb::DumpState { dir }), _) => {
            pipe_kit::output::print(&Deployment::open(&dir)?.state()?)?;
        }
        (None, Some(dir)) if cli.remove => Deployment::open(&dir)?.remove()?,
        (None, dir) => {
            let options = Options {
                external_storage: cli.external_storage,
                tenants: cli.tenants,
                docs: cli.docs,
                objects: cli.objects,
                bin_dir: cli.bin_dir,
                ..Options::default()
            };
            Deployment::create(&dir.unwrap_or_default(), &options)?.keep();
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
