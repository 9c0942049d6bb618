//! `cfg-pack`: settings, secrets and certificates of a deployment as one archive.

mod archive;
mod check;
mod cli;
mod compare;
mod create;
mod diff;
mod disk;
mod extract;
mod kept;
mod links;
mod list;
mod mask;
mod names;
mod plan;
mod rel_path;
mod scan;
mod select;
mod swap;
mod unified;

#[doc(hidden)]
pub mod fuzzing;

pub use cli::{Cli, run};
