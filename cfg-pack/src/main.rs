//! `cfg-pack`: settings, secrets and certificates of a deployment as one archive.

fn main() -> std::process::ExitCode {
    pipe_kit::main::<cfg_pack::Cli>("cfg-pack", cfg_pack::run)
}
