//! What a small Unix filter needs to fail honestly, for every tool of this workspace. It knows nothing of bundles,
//! databases or object storage.
//!
//! - [`status`]: the exit statuses every tool keeps, and errors that carry one;
//! - [`main`]: what every tool's `main` calls;
//! - [`cleanup`]: work that must be undone on failure and on a signal alike;
//! - [`child`]: child processes whose status is checked at the end of their output;
//! - [`framed`]: streams whose end is proven;
//! - [`tool`]: other programs, found by name, as commands that can be shown and run;
//! - [`beside`]: a program that runs early beside another one, and decides nothing;
//! - [`sequence`]: the parts of a long run, and how long each took;
//! - [`lock`]: one run at a time;
//! - [`deploy_env`]: the settings of a run, resolved once;
//! - [`input`], [`output`], [`atomic`]: `-`-aware streams and files that appear whole or not at all;
//! - [`log`], [`progress`]: what the operator sees, on stderr;
//! - [`trust`]: programs that root may run; [`own_path()`]: where this one is;
//! - [`address`]: addresses of servers whose names do not resolve here;
//! - [`text`], [`mutex`]: values as people read them, and locks that a panic does not poison.

pub mod address;
pub mod atomic;
pub mod beside;
pub mod child;
pub mod cleanup;
mod closed_pipe;
pub mod deploy_env;
mod descendants;
mod entry;
pub mod framed;
pub mod input;
pub mod lock;
pub mod log;
pub mod mount;
pub mod mutex;
pub mod output;
mod own_path;
pub mod progress;
pub mod sequence;
pub mod status;
mod stdout_state;
pub mod text;
pub mod tool;
pub mod trust;
mod written;

pub use entry::{main, main_of_runner};
pub use own_path::own_path;
pub use status::{Exit, Stop};
