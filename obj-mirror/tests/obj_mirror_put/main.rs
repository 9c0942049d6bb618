//! `obj-mirror put` and `get` against a real S3 server: an object is stored whole or not at all, comes back as it was,
//! and nothing is left of an upload that failed.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod broken;
mod credentials;
mod faults;
mod kit;
mod locked;
mod resumed;
mod round_trip;
