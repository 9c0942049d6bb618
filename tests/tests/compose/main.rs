//! A deployment in containers, as a customer has it, and the driver that runs it. It takes an engine
//! and an image, which `scripts/test-compose.sh` has; without it, every test here prints that it is
//! skipped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test prints what it skips and types"
)]

mod contract;
mod drill;
mod drill_app;
mod exec;
mod features;
mod first_minutes;
mod health;
mod isolate;
mod kit;
mod machine;
mod moving;
mod restore;
mod runbook;
mod start;
