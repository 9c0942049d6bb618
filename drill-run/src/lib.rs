//! The drill: a bundle restored aside, proven, and removed again.

mod cli;
mod report;
mod step;

pub use cli::{Cli, run};
