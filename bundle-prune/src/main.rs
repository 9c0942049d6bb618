//! Retention: which bundles go, and their going.

fn main() -> std::process::ExitCode {
    pipe_kit::main::<bundle_prune::Cli>("bundle-prune", bundle_prune::run)
}
