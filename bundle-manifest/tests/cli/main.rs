//! bundle-manifest through its binary. The tools that it asks are stand-ins that keep the contract.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]
#![allow(clippy::print_stdout, reason = "a test that is skipped is reported")]

mod alarm;
mod describe;
mod diff;
mod list;
mod pack;
mod publish;
mod seal;
mod support;
mod verify;
