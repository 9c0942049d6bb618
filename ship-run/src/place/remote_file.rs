//! A file of a destination.

/// A file, by its name and its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    pub name: String,
    /// In bytes.
    pub size: u64,
}
