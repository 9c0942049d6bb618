//! Resolves a deployment's settings once and runs a command with them in its environment.

mod check;
mod cli;
mod decide;
mod deployment;
mod detect;
mod doctor;
mod dotenv;
mod driver;
mod endpoint;
mod environment;
mod get;
mod health;
mod layers;
mod libpq;
mod pg_service;
mod program;
mod replace;
mod report;
mod resolve;
mod secret;
mod settings;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use cli::{Cli, run};
