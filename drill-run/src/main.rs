//! `drill-run`: restores a bundle aside, and proves what came back.

fn main() -> std::process::ExitCode {
    pipe_kit::main("drill-run", drill_run::run)
}
