//! `obj-mirror`: an S3 bucket as a directory, and back.

mod buffers;
mod cli;
mod contents;
mod fault;
mod fetch;
mod headers;
mod index;
mod journal;
mod key;
mod known;
mod leftovers;
mod links;
mod location;
mod make_bucket;
mod octets;
mod outgoing;
mod pace;
mod placement;
mod plan;
mod pull;
mod push;
mod queue;
mod rate;
mod reading;
mod received;
mod remote;
mod report;
mod retry;
mod run;
mod salvage;
mod sending;
mod settings;
mod source;
mod status;
mod store;
mod sums;
mod tagging;
mod transfer;
mod tree;
mod upload;
mod verify;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use cli::Cli;
pub use run::run;
