//! docs/PITR.md on a real server with the real pgBackRest: rows as of a chosen time, and every object that they name.
#![allow(clippy::print_stdout, reason = "what is typed is shown, and a skipped test reports why")]

mod kit;
mod runbook;
