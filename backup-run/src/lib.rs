//! The guarded backup sequence: a deployment into a bundle.

mod backup;
mod bundle;
mod cli;
mod commands;
mod dry_run;
mod first_pass;
mod known;
mod link_source;
mod root;
mod settings;
mod stage;

pub use cli::{Cli, run};
