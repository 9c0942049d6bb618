//! What a difference is made of.

use serde::Serialize;

/// A number before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    pub before: u64,
    pub after: u64,
}

impl Change {
    /// How much the number changed.
    pub fn size(self) -> u64 {
        self.before.abs_diff(self.after)
    }
}

/// Names that were added and removed, and names whose content changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Names {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
}
