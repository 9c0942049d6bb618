//! What the unchanged objects of a bundle are linked from.

use crate::bundle::Bundle;
use crate::settings::Settings;
use bundle_format::report::{BundleState, ListedBundle, Listing};
use pipe_kit::tool::Tool;
use pipe_kit::warning;
use std::path::{Path, PathBuf};

/// The mirror of the newest bundle, where bundles are linked. A safety backup is what a restore falls back on: it
/// stands alone.
pub fn link_source(settings: &Settings, bundle: &Bundle) -> Option<PathBuf> {
    if !settings.link || settings.safety_backup || settings.bucket.is_none() {
        return None;
    }
    let list = Tool::new("bundle-manifest")
        .args(["list", "--quiet", "--newest", "--json", "--domain", &settings.domain])
        .arg(&bundle.root);
    match list.json().map(|listing| choose(&listing)) {
        Ok(Ok(source)) => {
            source.map(|path| Path::new(&path).join("minio")).filter(|dir| dir.is_dir())
        }
        Ok(Err(reason)) => {
            warning!("{reason}: this bundle links to none, and fetches every object");
            None
        }
        Err(error) => {
            let root = bundle.root.display();
            warning!(
                "{error:#}: the bundles in {root} cannot be listed, so this one links to none"
            );
            None
        }
    }
}

/// The path of the bundle to link from, or why no bundle will do. Bundles that are linked share their files, so what
/// is damaged in one of them may be damaged in all that were made before it was found.
fn choose(listing: &Listing) -> Result<Option<String>, String> {
    let Some(ListedBundle { name, path, timestamp, state, reason, .. }) = listing.bundles.first()
    else {
        return Ok(None);
    };
    if *state != BundleState::Intact {
        let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        return Err(format!("the newest bundle {name} is {}{reason}", state.word()));
    }
    match listing.damaged.iter().find(|mark| mark.found >= *timestamp) {
        Some(mark) => Err(format!(
            "{} was found damaged after {name} was begun, which may share its files",
            mark.name
        )),
        None => Ok(Some(path.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::DamagedBundle;
    use chrono::{DateTime, TimeDelta};

    #[test]
    fn the_newest_bundle_is_linked_from_if_nothing_was_found_damaged_since_it_was_begun() {
        let begun = DateTime::UNIX_EPOCH;
        let bundle = |state| ListedBundle {
            name: "n".into(),
            path: "/r/n".into(),
            timestamp: begun,
            state,
            reason: (state != BundleState::Intact).then(|| "a is missing".into()),
            ..ListedBundle::default()
        };
        let listing = |state, marks: &[i64]| Listing {
            bundles: vec![bundle(state)],
            damaged: marks
                .iter()
                .map(|seconds| DamagedBundle {
                    name: format!("m{seconds}"),
                    found: begun + TimeDelta::seconds(*seconds),
                })
                .collect(),
            ..Listing::default()
        };
        assert_eq!(choose(&Listing::default()), Ok(None));
        for marks in [&[][..], &[-1]] {
            let chosen = choose(&listing(BundleState::Intact, marks));
            assert_eq!(chosen, Ok(Some("/r/n".into())), "{marks:?}");
        }
        for (marks, named) in [(&[0][..], "m0 "), (&[-1, 9], "m9 ")] {
            let reason = choose(&listing(BundleState::Intact, marks)).unwrap_err();
            assert!(reason.starts_with(named), "{reason}");
        }
        for state in [BundleState::Damaged, BundleState::Unsealed, BundleState::Unknown] {
            let reason = choose(&listing(state, &[])).unwrap_err();
            assert!(reason.contains(state.word()) && reason.contains("a is missing"), "{reason}");
        }
    }
}
