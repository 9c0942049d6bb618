//! What a bundle is: `describe`, `sums`, `publish`, `verify`, `list`.

fn main() -> std::process::ExitCode {
    pipe_kit::main::<bundle_manifest::Cli>("bundle-manifest", bundle_manifest::run)
}
