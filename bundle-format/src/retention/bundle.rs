//! A bundle, as far as retention needs it.

use crate::report::BundleState;
use chrono::{DateTime, Utc};

/// One bundle, or a copy of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Its name.
    pub name: String,
    /// When it was taken, by its name, UTC.
    pub taken: DateTime<Utc>,
    /// What a quick check concludes.
    pub state: BundleState,
    /// The domain of its deployment, where that is known.
    pub domain: Option<String>,
    /// What it lacks of the bundle before it, where that set the alarm off.
    pub shrunk: Option<String>,
}
