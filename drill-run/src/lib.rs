//! The drill: a bundle restored aside, proven, and removed again.

pub mod app;
mod baseline;
mod bundle;
mod cli;
mod deadline;
mod drill;
mod dry_run;
mod end;
mod environment;
mod mirror;
mod priority;
mod processes;
mod report;
mod results;
mod script;
mod secrets;
mod sequence;
mod server;
mod settings;
mod sql;
mod step;
mod steps;
mod unopened;
mod workplace;

pub use cli::{Cli, run};
