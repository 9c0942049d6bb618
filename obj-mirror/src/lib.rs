//! `obj-mirror`: an S3 bucket as a directory, and back.

mod cli;
mod fault;
mod headers;
mod index;
mod key;
mod location;
mod make_bucket;
mod placement;
mod plan;
mod pull;
mod push;
mod remote;
mod report;
mod retry;
mod run;
mod salvage;
mod settings;
mod source;
mod status;
mod store;
mod sums;
mod transfer;
mod tree;
mod upload;
mod verify;

#[doc(hidden)]
pub mod fuzzing;

pub use cli::Cli;
pub use run::run;
