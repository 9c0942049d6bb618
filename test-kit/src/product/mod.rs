//! A product's application, small but with real state: what the deployment in containers runs.
//!
//! - [`parts`]: the database, cache and storage that it uses;
//! - [`api`]: documents (an object each, then its row) and credentials (encrypted columns);
//! - [`worker`]: what takes jobs off the queue; [`scheduler`]: what only looks at the clock;
//! - [`web`]: what the world reaches, in front of the API;
//! - [`http`]: as much of HTTP as that takes;
//! - [`sealed`]: encryption with the deployment's key.

pub mod api;
pub mod http;
pub mod parts;
pub mod scheduler;
pub mod sealed;
pub mod web;
pub mod worker;

/// The queue of jobs, in the cache.
pub const QUEUE: &str = "jobs";
/// Where each service answers.
pub const PORT: u16 = 8080;
