//! What a run of the toolkit records of itself, and whom it notifies.

mod record;

pub use record::Record;
