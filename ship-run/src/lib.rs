//! Sealed copies of bundles in other places.
//!
//! [`send`] seals a bundle once and writes it to every destination; `list`, `verify`, `prune` and `fetch` work on
//! what is there. [`place`] is the only code that knows what kinds of destinations there are.

mod cli;
mod copies;
mod fetch;
mod init;
mod list;
mod marks;
mod mounts;
mod place;
mod prune;
mod recipients;
mod record;
mod run;
mod send;
mod settings;
mod verify;
mod waits;

pub use cli::Cli;
pub use run::run;
