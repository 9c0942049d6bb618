//! The bundles below a root, as `bundle-manifest list` reports them.

use anyhow::{Context, Result};
use bundle_format::BundleName;
use bundle_format::domain::known;
use bundle_format::report::{ListedBundle, Listing};
use bundle_format::retention::Bundle;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Lists the finished bundles below a root, in any order.
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
        .context("the report of bundle-manifest list cannot be read; nothing was removed")?;
    listing.bundles.into_iter().map(checked).collect()
}

/// A listed bundle. A name that does not hold the listed time is refused, since bundles are removed by name.
fn checked(listed: ListedBundle) -> Result<Bundle> {
    let ListedBundle { name, timestamp: taken, state, domain, shrunk, .. } = listed;
    let read = BundleName::parse(OsStr::new(&name));
    if read.is_none_or(|read| read.taken() != taken) {
        anyhow::bail!(
            "bundle-manifest list names {name:?}, which does not match its time {taken}; nothing was removed"
        );
    }
    let domain = known(Some(&domain)).map(str::to_owned);
    Ok(Bundle { name, taken, state, domain, shrunk })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::BundleState;

    fn listing(name: &str, taken: &str) -> String {
        let bundle = ListedBundle {
            name: name.to_owned(),
            timestamp: taken.parse().unwrap(),
            state: BundleState::Intact,
            ..ListedBundle::default()
        };
        let listing = Listing { bundles: vec![bundle], ..Listing::default() };
        serde_json::to_string(&listing).unwrap()
    }

    #[test]
    fn a_state_of_a_later_version_is_not_taken_for_intact() {
        let text = listing("piprio_20260421T020000Z", "2026-04-21T02:00:00Z");
        let state = |text: &str| read(text).unwrap()[0].state;
        assert_eq!(state(&text), BundleState::Intact);
        assert_eq!(state(&text.replace("intact", "splendid")), BundleState::Unknown);
    }

    #[test]
    fn a_name_that_is_not_its_time_is_refused() {
        let list = |name: &str, taken: &str| read(&listing(name, taken));
        assert_eq!(list("piprio_20260421T020000Z", "2026-04-21T02:00:00Z").unwrap().len(), 1);
        assert!(list("piprio_20260421T020000Z", "2025-04-21T02:00:00Z").is_err());
        assert!(list("../piprio_20260421T020000Z", "2026-04-21T02:00:00Z").is_err());
        assert!(list("..", "2026-04-21T02:00:00Z").is_err());
        assert!(read("").is_err());
    }
}
