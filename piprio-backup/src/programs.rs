//! The programs in this file.

use clap::{Command, CommandFactory};
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

/// One of the programs.
pub struct Program {
    /// The name of its file.
    pub name: &'static str,
    /// What its own `main` does.
    pub main: fn() -> ExitCode,
    /// Its command line.
    pub command: fn() -> Command,
}

macro_rules! program {
    ($name:literal, $of:ident) => {
        program!($name, $of, main)
    };
    ($name:literal, $of:ident, $main:ident) => {
        Program {
            name: $name,
            main: || pipe_kit::$main::<$of::Cli>($name, $of::run),
            command: $of::Cli::command,
        }
    };
}

/// All of them, by name.
pub const PROGRAMS: [Program; 12] = [
    program!("backup-run", backup_run),
    program!("bundle-manifest", bundle_manifest),
    program!("bundle-prune", bundle_prune),
    program!("cfg-pack", cfg_pack),
    program!("compose-driver", compose_driver, main_of_runner),
    program!("deploy-env", deploy_env),
    program!("drill-run", drill_run),
    program!("health-probe", health_probe),
    program!("obj-mirror", obj_mirror),
    program!("pg-snap", pg_snap),
    program!("restore-run", restore_run),
    program!("ship-run", ship_run),
];

/// The program of that name.
pub fn named(name: &OsStr) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| name == program.name)
}

/// The program whose name this process was started by: the name of the file, which no caller can change; where
/// that is none of them, the name that the caller gave.
pub fn called() -> Option<&'static Program> {
    let file = std::env::current_exe().ok();
    let given = std::env::args_os().next();
    let of = |path: Option<&Path>| path.and_then(Path::file_name).and_then(named);
    of(file.as_deref()).or_else(|| of(given.as_deref().map(Path::new)))
}
