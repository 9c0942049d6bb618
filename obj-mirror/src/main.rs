//! `obj-mirror`: an S3 bucket as a directory, and back.

fn main() -> std::process::ExitCode {
    pipe_kit::main::<obj_mirror::Cli>("obj-mirror", obj_mirror::run)
}
