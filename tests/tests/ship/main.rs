//! `ship.sh`: sealed copies of bundles elsewhere, and a deployment restored from one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod copies;
mod kit;
mod prune;
mod send;
mod whole;
