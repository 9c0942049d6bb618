//! The drill: a bundle restored aside, proven, and removed again.

mod cli;
#[cfg_attr(not(test), expect(dead_code, reason = "the steps are to use it"))]
mod server;
mod step;

pub use cli::{Cli, run};
