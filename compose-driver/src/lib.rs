//! `compose-driver`: the services of a deployment that Docker Compose runs.

mod address;
mod cli;
mod client;
mod compose;
mod container;
mod deployment;
mod docker;
mod exec;
mod guarded;
mod image;
mod lookup;
mod mark;
mod mounted;
mod outlet;
mod project;
mod service;
mod start;
mod state;
mod stop;
mod stopped;

pub use cli::{Cli, run};
