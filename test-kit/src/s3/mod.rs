//! A real S3 server, for tests and the demo, that keeps everything in memory, and in a directory too
//! where it is given one.
//!
//! The protocol (signatures, XML, headers) is the `s3s` crate's; the store behind it is ours, because
//! one that maps keys to paths cannot hold the keys and properties that a lossless mirror is about:
//! `a` beside `a/b`, `..`, `//`, tags, content encodings.
//!
//! - [`store`]: buckets and uploads;
//! - [`object`]: an object and its bytes;
//! - [`keys`]: whom it lets in;
//! - `disk`: what is kept in a directory;
//! - [`lock`]: objects that cannot be deleted;
//! - [`listing`]: one page of a listing, as a pure function;
//! - [`server`]: the HTTP server around it;
//! - [`faults`]: what a test asks it to do wrong;
//! - [`rules`]: where servers differ;
//! - [`client`]: a client that sends exactly what a test asks for.

mod backend;
mod bodies;
pub mod client;
mod disk;
pub mod faults;
pub mod keys;
pub mod listing;
pub mod lock;
mod multipart;
pub mod object;
mod pages;
mod properties;
pub mod rules;
pub mod server;
pub mod stats;
pub mod store;
