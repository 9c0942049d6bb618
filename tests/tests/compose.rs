//! A deployment in containers, as a customer has it, and the driver that runs it. It takes an engine
//! and an image, which `scripts/test-compose.sh` has; without it, every test here says that it is
//! skipped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it skips and types"
)]

#[path = "compose/contract.rs"]
mod contract;
#[path = "compose/drill.rs"]
mod drill;
#[path = "compose/exec.rs"]
mod exec;
#[path = "compose/health.rs"]
mod health;
#[path = "compose/kit.rs"]
mod kit;
#[path = "compose/moving.rs"]
mod moving;
#[path = "compose/restore.rs"]
mod restore;
#[path = "compose/runbook.rs"]
mod runbook;
#[path = "compose/start.rs"]
mod start;
