//! `compose-driver`: the services of a deployment that Docker Compose runs.

mod address;
mod cli;
mod client;
mod compose;
mod configuration;
mod container;
mod deployment;
mod destroy;
mod docker;
mod drill;
mod exec;
mod guarded;
mod image;
mod isolate;
mod isolation;
mod lookup;
mod mark;
mod mounted;
mod outlet;
mod project;
mod project_dir;
mod room;
mod service;
mod services;
mod start;
mod state;
mod stop;
mod stopped;
mod yaml;

pub use cli::{Cli, run};
