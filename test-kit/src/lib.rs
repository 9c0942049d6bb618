//! The throwaway parts that the tests, the demo and the fault campaign run on: real servers, each its own,
//! each gone when dropped, also when a test panics.
//!
//! - [`Postgres`], [`Redis`], [`S3`]: one server each, on a free port;
//! - [`Deployment`]: all of them together, with the toolkit installed;
//! - [`dead_host`]: a host that does not answer;
//! - [`extension`]: a PostgreSQL that knows extensions of our own;
//! - [`garage`]: an S3 server that was written by others, where its program is installed;
//! - [`likeness`]: whether two databases are the same;
//! - [`monitoring`]: programs and types of Prometheus and Grafana;
//! - [`oddities`]: a database with everything in it that a dump can get wrong;
//! - [`product`]: a product's application, for the deployment in containers;
//! - [`receiver`]: a receiver of pings and messages;
//! - [`tools`]: the workspace's programs, built once a process;
//! - [`trace`]: what a run asks of the system;
//! - [`s3`]: the S3 server itself, and a client for tests.

pub mod dead_host;
pub mod deployment;
pub mod extension;
pub mod garage;
pub mod likeness;
pub mod monitoring;
pub mod object_storage;
pub mod oddities;
pub mod postgres;
pub mod process;
pub mod product;
pub mod receiver;
pub mod redis;
pub mod s3;
pub mod tools;
pub mod trace;
pub mod user;

pub use deployment::Deployment;
pub use garage::Garage;
pub use object_storage::S3;
pub use postgres::Postgres;
pub use redis::Redis;
pub use tools::{tool, tool_path};

/// Reports that a test, or a part of it, is skipped, and why: `skipped!("no IPv6 here")`.
#[macro_export]
macro_rules! skipped {
    ($($why:tt)*) => { $crate::skipped(format_args!($($why)*)) };
}

/// Reports what a test has measured or shown, where that is more than that it passed: a line of a matrix.
#[macro_export]
macro_rules! reported {
    ($($what:tt)*) => { $crate::reported(format_args!($($what)*)) };
}

/// As [`skipped!`], with the test's name.
pub fn skipped(why: std::fmt::Arguments<'_>) {
    let thread = std::thread::current();
    reported(format_args!("skipped: {}: {why}", thread.name().unwrap_or("a test")));
}

/// Prints the line even if the test's output is captured, and appends it to the file that
/// `PIPRIO_TEST_SKIPPED` names.
pub fn reported(what: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let line = format!("{what}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("PIPRIO_TEST_SKIPPED") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
