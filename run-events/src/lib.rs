//! What a run of the toolkit records of itself, and whom it notifies: records, hooks of the operator, pings,
//! webhooks and metrics.
//!
//! A runner calls [`Events`] at its start and at its end, and writes its stages into the [`Record`] in between.

mod begun;
mod capture;
mod events;
mod exclusive;
mod hooks;
mod killed;
mod limited;
mod mask;
mod message;
mod metrics;
mod notify;
mod record;
mod settings;
mod tail;
mod tally;

pub use events::Events;
pub use record::Record;
