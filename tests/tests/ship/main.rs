//! `ship.sh`: sealed copies of bundles elsewhere, and a deployment restored from one.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]
#![allow(clippy::print_stdout, reason = "a test prints what its tries came to")]

mod copies;
mod everywhere;
mod hangs;
mod kit;
mod marks;
mod places;
mod prune;
mod repository;
mod restic;
mod send;
mod tries;
mod whole;
