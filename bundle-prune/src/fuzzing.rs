//! The promises of this crate's readers of outside bytes, for any bytes. Each function panics where
//! one is broken.

use crate::bundles;
use bundle_format::retention::Calendar;
use bundle_format::retention::clock::Reading;
use bundle_format::retention::policy::{Policy, Verdict, decide};
use chrono::DateTime;

/// A list that is accepted names only what lies in the root, and its newest good bundle is kept whatever the
/// clock.
pub fn listing(bytes: &[u8]) {
    let (clock, text) = bytes.split_at(bytes.len().min(8));
    let seconds = clock.iter().fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    let Ok(bundles) = bundles::read(&String::from_utf8_lossy(text)) else { return };
    for bundle in &bundles {
        assert!(bundle.name.starts_with("piprio_") && !bundle.name.contains('/'), "{bundle:?}");
    }
    let now = DateTime::from_timestamp(seconds % (1 << 40), 0).unwrap_or_default();
    let policy = Policy { keep_days: 1, keep_last: 0, calendar: Calendar::default() };
    let decided = decide(&bundles, &Reading::by_names(&bundles, now), None, policy);
    assert_eq!(decided.len(), bundles.len());
    let newest = decided.iter().find(|decision| decision.bundle.state.is_good());
    assert!(newest.is_none_or(|decision| decision.verdict == Verdict::Keep), "{newest:?}");
}
