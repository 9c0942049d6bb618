//! The bundles below a root, as `bundle-manifest list` has them.

use crate::policy::Bundle;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::Path;
use std::process::{Command, Stdio};

#[derive(Deserialize)]
struct Listing {
    bundles: Vec<Bundle>,
}

/// Asks for the finished bundles below a root, in any order.
///
/// # Errors
/// If they cannot be listed; then nothing may be removed.
pub fn list(root: &Path) -> Result<Vec<Bundle>> {
    let mut command = Command::new("bundle-manifest");
    command.arg("list").arg(root).arg("--json").stdin(Stdio::null());
    let text = pipe_kit::child::capture(&mut command, "bundle-manifest list")
        .context("listing the bundles; nothing was removed")?;
    read(&text)
}

pub(crate) fn read(text: &str) -> Result<Vec<Bundle>> {
    let listing: Listing = serde_json::from_str(text)
        .context("bundle-manifest list gave no list; nothing was removed")?;
    let plain = |bundle: &Bundle| {
        let expected = bundle.taken.format("piprio_%Y%m%dT%H%M%SZ").to_string();
        bundle.name == expected
    };
    if let Some(other) = listing.bundles.iter().find(|bundle| !plain(bundle)) {
        anyhow::bail!(
            "bundle-manifest list names {:?}, which is no bundle of {}; nothing was removed",
            other.name,
            other.taken
        );
    }
    Ok(listing.bundles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_its_time_is_not_believed() {
        let list = |name: &str, taken: &str| {
            read(&format!(
                r#"{{"bundles":[{{"name":"{name}","timestamp":"{taken}","state":"intact"}}]}}"#
            ))
        };
        assert_eq!(list("piprio_20260421T020000Z", "2026-04-21T02:00:00Z").unwrap().len(), 1);
        assert!(list("piprio_20260421T020000Z", "2025-04-21T02:00:00Z").is_err());
        assert!(list("../piprio_20260421T020000Z", "2026-04-21T02:00:00Z").is_err());
        assert!(list("..", "2026-04-21T02:00:00Z").is_err());
        assert!(read("").is_err());
    }
}
