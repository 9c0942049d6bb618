//! Process plumbing shared by the tools of this workspace, and nothing of bundles, databases or
//! object storage: what a small Unix filter needs to fail honestly.
//!
//! - [`status`]: the exit statuses every tool keeps, and errors that carry one;
//! - [`main`]: what every tool's `main` calls;
//! - [`cleanup`]: work that must be undone on failure and on a signal alike;
//! - [`child`]: child processes whose status is asked at end of stream;
//! - [`input`], [`output`], [`atomic`]: `-`-aware streams and files that appear whole or not at all;
//! - [`log`], [`progress`]: what the operator sees, on stderr;
//! - [`address`]: where a server is dialled whose name means nothing here.

pub mod address;
pub mod atomic;
pub mod child;
pub mod cleanup;
mod entry;
pub mod input;
pub mod log;
pub mod output;
pub mod progress;
pub mod status;
mod stdout_state;

pub use entry::{main, main_of_runner};
pub use status::{Exit, Stop};
