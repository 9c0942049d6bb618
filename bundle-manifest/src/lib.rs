//! Bundles: `describe`, `sums`, `publish`, `verify`, `list`, `diff`, `alarm`, `pack` and `unpack`.

mod alarm;
mod archive;
mod bundle;
mod cli;
mod describe;
mod diff;
mod list;
mod publish;
mod seal;
mod verify;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use cli::{Cli, run};
