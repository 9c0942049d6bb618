//! An object of a listing.

use chrono::{DateTime, Utc};

/// Stands for a time that the server does not give, or not in a readable form.
pub const UNKNOWN_TIME: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// An object as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub size: u64,
    /// Without quotes; empty if the server lists none.
    pub etag: String,
    /// UTC, milliseconds; or [`UNKNOWN_TIME`].
    pub modified: DateTime<Utc>,
}

#[cfg(test)]
impl Listed {
    pub fn sample(key: &str) -> Self {
        let modified = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1);
        Self { key: key.into(), size: 1, etag: "0".repeat(32), modified }
    }
}
