//! The promises of this crate's readers of outside bytes, for any bytes. Each function panics where
//! one is broken.

use crate::bundles;
use crate::clock::Reading;
use crate::policy::{Policy, Verdict, decide};
use crate::removal;
use chrono::DateTime;

/// Whether a removal of the bundle of that name, cut off, would be finished.
#[must_use]
pub fn finishes_removal_of(name: &str) -> bool {
    removal::left_name(&format!(".{name}.removing")) == Some(name)
}

/// A list that is believed names only what lies in the root, and its newest good bundle survives
/// whatever the clock.
pub fn listing(bytes: &[u8]) {
    let (clock, text) = bytes.split_at(bytes.len().min(8));
    let seconds = clock.iter().fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    let Ok(bundles) = bundles::read(&String::from_utf8_lossy(text)) else { return };
    for bundle in &bundles {
        assert!(bundle.name.starts_with("piprio_") && !bundle.name.contains('/'), "{bundle:?}");
    }
    let now = DateTime::from_timestamp(seconds % (1 << 40), 0).unwrap_or_default();
    let policy = Policy { keep_days: 1, keep_last: 0 };
    let decided = decide(&bundles, &Reading::by_names(&bundles, now), None, policy);
    assert_eq!(decided.len(), bundles.len());
    let newest = decided.iter().find(|decision| decision.bundle.state.is_good());
    assert!(newest.is_none_or(|decision| decision.verdict == Verdict::Keep), "{newest:?}");
}
