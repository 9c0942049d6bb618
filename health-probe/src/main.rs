//! Probes a deployment's services, database, cache, readiness, storage, disks and newest bundle, a
//! line each.

mod address;
mod ask;
mod cli;
mod limit;
mod probe;
mod probes;
mod render;
mod rounds;
mod settings;

fn main() -> std::process::ExitCode {
    pipe_kit::main::<cli::Cli>("health-probe", cli::run)
}
