//! The drill: a bundle restored aside, proven, and removed again.

pub mod app;
mod cli;
mod step;

pub use cli::{Cli, run};
