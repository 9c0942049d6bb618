//! Resolves a deployment's settings once and runs a command with them in its environment.

mod cli;
mod decide;
mod deployment;
mod dotenv;
mod driver;
mod endpoint;
mod environment;
mod layers;
mod report;
mod resolve;
mod secret;
mod settings;

fn main() -> std::process::ExitCode {
    pipe_kit::main::<cli::Cli>("deploy-env", cli::run)
}
