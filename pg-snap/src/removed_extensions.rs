//! Extensions that came with PostgreSQL itself, and no longer do.

/// Each with the first major without it. No rows and no types of a database are of these: what they had was
/// for administration.
const REMOVED: [(&str, u32); 2] = [("adminpack", 17), ("old_snapshot", 17)];

/// Whether that major has removed it. A server may have it all the same.
pub fn is_removed(extension: &str, major: u32) -> bool {
    REMOVED.iter().any(|(name, since)| *name == extension && major >= *since)
}
