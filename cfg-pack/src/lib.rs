//! `cfg-pack`: settings, secrets and certificates of a deployment as one archive.

mod access;
mod accounts;
mod acl;
mod acl_text;
mod archive;
mod attached;
mod check;
mod cli;
mod compare;
mod create;
mod diff;
mod disk;
mod extra;
mod extract;
mod headers;
mod kept;
mod links;
mod list;
mod mask;
mod names;
mod pax;
mod plan;
mod rel_path;
mod rights;
mod scan;
mod select;
mod swap;
mod unified;
mod xattr;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use cli::{Cli, run};
