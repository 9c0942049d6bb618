//! The command line.

use crate::compose::Compose;
use crate::deployment::Deployment;
use crate::project::Project;
use crate::{
    address, destroy, exec, image, isolate, isolation, lookup, project, services, start, stop,
};
use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use rustix::fs::Mode;
use std::ffi::OsString;
use std::path::PathBuf;

/// Service driver for Docker Compose: lists, stops and starts services, and runs commands in them
///
/// It uses `docker compose`, else `docker-compose`, in the deployment's directory: PIPRIO_DEPLOY, else
/// the directory above the program's own. Standard output holds data only.
#[derive(Parser, Debug)]
#[command(name = "compose-driver", version, after_help = AFTER)]
pub struct Cli {
    #[command(flatten)]
    quiet: pipe_kit::log::Quiet,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Print each configured service and its state: running, stopped, unhealthy or done
    Ps,
    /// Stop services, and return when they are stopped
    Stop {
        /// The services
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Create what is missing, apply changed configuration, and return when the services are up
    Start {
        /// The services
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Run a command where a service runs
    ///
    /// Standard input, output, error and the exit status are the command's. The PG* variables of the
    /// environment are passed on. A signal that ends this program ends the command too.
    Exec {
        /// The service
        name: String,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Print HOST:PORT at which a port of a service answers from here
    Addr {
        /// The service
        name: String,
        /// The port inside the container
        port: u16,
    },
    /// Print the configured services with their images, as JSON; of variables mostly names
    Services,
    /// Print the image of a service: its id, or its name if the service has no container
    Image {
        /// The service
        name: String,
    },
    /// Write the Compose file of a drill: a deployment's services on an isolated network
    #[command(after_help = ISOLATE)]
    Isolate {
        /// Directory of the deployment
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Leave out this service; repeatable
        #[arg(long, value_name = "SERVICE")]
        skip: Vec<String>,
        /// Refuse if the engine has less room for volumes than this many bytes
        #[arg(long, value_name = "BYTES", default_value_t = 0)]
        room: u64,
    },
    /// Check that the running containers of a drill are isolated from other networks
    #[command(after_help = ISOLATION)]
    Isolation,
    /// Remove the containers, volumes and networks of a drill
    #[command(after_help = DESTROY)]
    Destroy {
        /// Project of the drill, where its directory is gone
        #[arg(long, value_name = "NAME")]
        project: Option<String>,
    },
}

const ISOLATE: &str = "\
PIPRIO_DEPLOY is the drill's directory. It has secrets/ and certs/ of its own, and an .env of
its own with COMPOSE_FILE=compose.drill.yml and a COMPOSE_PROJECT_NAME. The deployment's Compose
files are read with that .env. Every service gets one network, which is internal, the image that
the deployment runs, and empty volumes. Not copied: published ports, capabilities, devices, host
namespaces and sockets; labels, DNS servers and restart policies. A path of the host is mounted
read-only or not at all; a directory that a service writes to becomes an empty volume. One-shots
do not run: their work is in the bundle. Secrets that no bundle has are refused.

Standard output has a line for each published port, service left out, and thing dropped:
  port<TAB>HOSTPORT<TAB>SERVICE<TAB>PORT
  skipped<TAB>SERVICE<TAB>one-shot, asked (--skip), or socket (it has the engine's socket)
  dropped<TAB>SERVICE<TAB>WHAT

EXAMPLES
  PIPRIO_DEPLOY=/srv/drill/deploy compose-driver isolate --from /srv/piprio/deploy
  PIPRIO_DEPLOY=/srv/drill/deploy compose-driver isolate --from /srv/piprio/deploy --skip mailer";

const ISOLATION: &str = "\
Prints one line a check: CHECK<TAB>pass|fail<TAB>EXPECTED<TAB>FOUND. The exit status is 1 if one fails.

EXAMPLES
  PIPRIO_DEPLOY=/srv/drill/deploy compose-driver isolation";

const DESTROY: &str = "\
Everything with the drill's label is removed: piprio.drill=PROJECT. A project that isolate has
not written is refused.

EXAMPLES
  PIPRIO_DEPLOY=/srv/drill/deploy compose-driver destroy
  compose-driver destroy --project piprio-drill-20261129t013000z";

const AFTER: &str = "\
EXAMPLES
  compose-driver ps
      the services of the deployment, and the state of each
  compose-driver stop api worker
      returns when both are stopped
  compose-driver start api worker
      returns when both are up, or fails with the last line that a service logged
  compose-driver exec postgres psql --version
      runs a program in the container of the service postgres
  compose-driver addr redis 6379
      where the cache answers from this host
  compose-driver services
      the services with their images, for a program
  compose-driver image postgres
      the image from which a drill starts a private server

EXIT STATUS
  0  done
  1  failed
  2  usage, or there is no such service
  5  refused: the containers of the project belong to another directory, there is no deployment, or it
     cannot be isolated
  With exec, the status is the command's own; 128+N if a signal N ended this program.";

/// Runs the tool and gives its exit status.
///
/// # Errors
/// [`pipe_kit::Stop::usage`] for a service that is not there, [`pipe_kit::Stop::refused`] where the
/// containers are those of another deployment.
pub fn run(cli: Cli) -> Result<u8> {
    cli.quiet.apply();
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    if let Verb::Destroy { project } = &cli.verb {
        // Its directory may be gone.
        let dir = Deployment::named()?;
        destroy::destroy(&destroy::meant(&dir, project.as_deref())?)?;
        return Ok(pipe_kit::Exit::Done.code());
    }
    // Relative to where we were called.
    let from = match &cli.verb {
        Verb::Isolate { from, .. } => Some(Deployment::of(from)?),
        _ => None,
    };
    let deployment = Deployment::find()?;
    match cli.verb {
        Verb::Destroy { .. } => {}
        Verb::Isolate { skip, room, .. } => {
            let from = from.context("the deployment")?;
            isolate::isolate(&deployment, &from, &skip, room)?;
        }
        Verb::Isolation => {
            let project = destroy::meant(deployment.dir(), None)?;
            if !isolation::check(&project, deployment.dir())? {
                return Ok(pipe_kit::Exit::Failed.code());
            }
        }
        Verb::Exec { name, command } => return exec::exec(&deployment, &name, &command),
        Verb::Addr { name, port } => {
            let container = lookup::container_of(&deployment, &name)?;
            pipe_kit::output::print(&format!("{}\n", address::of(&container, &name, port)?))?;
        }
        Verb::Image { name } => {
            let image = image::of(&named(&deployment, std::slice::from_ref(&name))?, &name)?;
            pipe_kit::output::print(&format!("{image}\n"))?;
        }
        Verb::Services => {
            let services = services::list(&Compose::find(&deployment)?)?;
            pipe_kit::output::print(&(serde_json::to_string(&services)? + "\n"))?;
        }
        Verb::Ps => {
            let compose = Compose::find(&deployment)?;
            pipe_kit::output::print(&project::states(&deployment, compose)?)?;
        }
        Verb::Stop { names } => stop::stop(&named(&deployment, &names)?, &names)?,
        Verb::Start { names } => start::start(named(&deployment, &names)?, &names)?,
    }
    Ok(pipe_kit::Exit::Done.code())
}

/// The project, which has all of these services.
fn named<'a>(deployment: &'a Deployment, names: &[String]) -> Result<Project<'a>> {
    let project = Project::read(deployment, Compose::find(deployment)?)?;
    project.require(names)?;
    Ok(project)
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
    fn the_words_after_a_service_are_the_commands_own() {
        let words = ["compose-driver", "exec", "db", "psql", "-q", "--help", "--", "x"];
        let Verb::Exec { name, command } = Cli::parse_from(words).verb else { panic!() };
        assert_eq!((name.as_str(), command.len()), ("db", 5));
    }
}
