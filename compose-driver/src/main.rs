//! `compose-driver`: the services of a deployment that Docker Compose runs.

fn main() -> std::process::ExitCode {
    pipe_kit::main_of_runner::<compose_driver::Cli>("compose-driver", compose_driver::run)
}
