//! Resolves a deployment's settings once and runs a command with them in its environment.

fn main() -> std::process::ExitCode {
    pipe_kit::main::<deploy_env::Cli>("deploy-env", deploy_env::run)
}
