//! The application of the deployment in containers, a service a subcommand.

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use pipe_kit::Exit;
use std::process::ExitCode;
use test_kit::product::parts::Parts;
use test_kit::product::{api, http, scheduler, web, worker};

/// Run one of the application's services
///
/// Settings come from the environment, secrets from the files that it names; see tests/compose.
#[derive(Parser)]
#[command(name = "product", version)]
struct Cli {
    #[command(subcommand)]
    service: Service,
}

#[derive(Subcommand)]
enum Service {
    /// Documents and credentials, over HTTP
    Api,
    /// Take jobs off the queue
    Worker,
    /// Note that it is alive
    Scheduler,
    /// Stand in front of the API
    Web {
        /// The API's URL
        api: String,
    },
    /// Ask a URL, for health checks: fails unless it answers 200
    Ask {
        /// What to ask
        url: String,
    },
}

fn main() -> ExitCode {
    pipe_kit::main::<Cli>("product", run)
}

fn run(cli: Cli) -> Result<Exit> {
    match cli.service {
        Service::Api => api::run(Parts::from_env()?)?,
        Service::Worker => worker::run(Parts::from_env()?)?,
        Service::Scheduler => scheduler::run(&Parts::from_env()?),
        Service::Web { api } => web::run(api)?,
        Service::Ask { url } => {
            let answer = http::ask("GET", &url, b"")?;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            ensure!(answer.status == 200, "{url} answers {}: {text}", answer.status);
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
