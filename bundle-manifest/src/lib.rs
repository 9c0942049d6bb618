//! What a bundle is: `describe`, `sums`, `publish`, `verify`, `list`, `diff`, `alarm`.

mod alarm;
mod bundle_name;
mod cipher;
mod cli;
mod describe;
mod diff;
mod domain;
mod dump_head;
mod figures;
mod hash;
mod landing;
mod list;
mod manifest;
mod marker;
mod mirror;
mod objects;
mod pack;
mod publish;
mod report;
mod reports;
mod seal;
mod shrink;
mod shrunk;
mod stages;
mod structure;
mod sums;
mod tar_reader;
mod tar_writer;
mod text;
mod tree;
mod unpack;
mod verify;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use cli::{Cli, run};
