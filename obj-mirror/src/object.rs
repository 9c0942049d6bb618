//! What both the client and the directory know about an object.

pub mod attributes;
pub mod hash;
pub mod key;
pub mod octets;
pub mod range;

use chrono::{DateTime, Utc};
use serde::Serialize;

/// An object that could not be mirrored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The key; for a file that is not an object, its path.
    pub key: String,
    pub reason: String,
}

/// Truncates a time to milliseconds: no server gives more.
pub fn whole_millis(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
}
