//! What a bundle is: `describe`, `sums`, `publish`, `verify`, `list`.

mod bundle_name;
mod cli;
mod describe;
mod dump_head;
mod hash;
mod list;
mod manifest;
mod marker;
mod mirror;
mod publish;
mod report;
mod seal;
mod stages;
mod structure;
mod sums;
mod text;
mod tree;
mod verify;

pub use cli::{Cli, run};
