//! Retention: which bundles are removed, and how.

fn main() -> std::process::ExitCode {
    pipe_kit::main::<bundle_prune::Cli>("bundle-prune", bundle_prune::run)
}
