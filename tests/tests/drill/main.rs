//! Drills on a throwaway deployment: what they prove, what they find, and what they leave.
// In a test to panic is to fail.
#![allow(clippy::unwrap_used)]

mod killed;
mod kit;
mod runbook;
mod schedule;
mod semantic;
mod sequence;
mod whole;
