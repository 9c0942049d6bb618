//! What the client and the directory both know of an object.

pub mod attributes;
pub mod hash;
pub mod key;
pub mod octets;

use chrono::{DateTime, Utc};
use serde::Serialize;

/// An object that could not be mirrored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its key; for a file that is no object, its path.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// A time without what is finer than a millisecond, which no server tells.
#[must_use]
pub fn whole_millis(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
}
