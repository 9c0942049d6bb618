//! What a run of the toolkit records of itself, and whom it notifies: records, and hooks of the operator.
//!
//! A runner calls [`Events`] at its start and at its end, and writes its stages into the [`Record`] in between.

mod events;
mod hooks;
mod limited;
mod record;
mod settings;

pub use events::Events;
pub use record::Record;
