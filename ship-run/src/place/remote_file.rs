//! A file of a destination.

use chrono::{DateTime, Utc};

/// A file, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// When it was written.
    pub modified: DateTime<Utc>,
}
