//! What the server was asked, for tests that must know (`GET /_stats`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Stats {
    operations: Mutex<BTreeMap<&'static str, u64>>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Stats {
    pub(super) fn count(&self, operation: &'static str) {
        let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        *operations.entry(operation).or_default() += 1;
    }

    pub(super) fn took(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn gave(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The counters as a JSON object: `operations` (by S3's name), `bytes_in`, `bytes_out` (bodies of
    /// objects, bytes).
    #[must_use]
    pub fn to_json(&self) -> String {
        let operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        serde_json::json!({
            "operations": operations,
            "bytes_in": self.bytes_in.load(Ordering::Relaxed),
            "bytes_out": self.bytes_out.load(Ordering::Relaxed),
        })
        .to_string()
    }
}
