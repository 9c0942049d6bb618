//! The guarded restore sequence: a bundle back into a deployment.

mod abandon;
mod bootstrap;
mod bundle;
mod cache;
mod cli;
mod commands;
mod credentials;
mod database;
mod dry_run;
mod first_push;
mod health;
mod journal;
mod load_record;
mod options;
mod preflight;
mod prompt;
mod recovery;
mod restore;
mod resume;
mod run;
mod servers;
mod services;
mod settings;
mod state;
mod step;
mod steps;
mod stop;
mod storage;
mod summary;

pub use cli::{Cli, run};
