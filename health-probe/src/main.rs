//! Probes a deployment and prints a line for each part.

fn main() -> std::process::ExitCode {
    pipe_kit::main::<health_probe::Cli>("health-probe", health_probe::run)
}
