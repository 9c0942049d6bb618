//! `obj-mirror`: an S3 bucket as a directory, and back.
//!
//! Commands ([`pull`], [`push`], `verify`, `status`, `make_bucket`) use two halves that do not know each
//! other: [`s3`], the client, and [`mirror`], the directory. [`object`] holds what both know of an object.
//! [`put`] and [`get`] transfer one object as a stream.

mod cli;
mod external_sort;
mod get;
mod keys;
mod location;
mod make_bucket;
mod mirror;
mod object;
mod pull;
mod push;
mod put;
mod report;
mod run;
mod s3;
mod settings;
mod spool;
mod status;
mod verify;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use cli::Cli;
pub use run::run;
