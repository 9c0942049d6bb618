//! Whether bundles hold far less than those before them, by this host's marks and by the descriptions of copies. Then no
//! copy is removed until that is accepted.

use crate::copies::Copy;
use crate::marks::is_alarm_on;
use crate::settings::Settings;
use anyhow::{Context, Result};
use bundle_format::report::Listing;
use bundle_format::retention::clock::TOLERANCE;
use chrono::{DateTime, Utc};
use pipe_kit::tool::Tool;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The alarm of this host.
pub struct Alarm {
    /// The directories of bundles.
    roots: BTreeSet<PathBuf>,
    /// Why it is on, if it is.
    reason: Option<String>,
}

impl Alarm {
    /// That of the setting's root, and of those of the bundles that a run has copied: a backup may have another root.
    ///
    /// # Errors
    /// If the bundles cannot be listed.
    pub fn of(settings: &Settings, bundles: &[PathBuf]) -> Result<Self> {
        let of_bundles = bundles.iter().filter_map(|bundle| bundle.parent());
        let roots = of_bundles.chain([settings.root.as_path()]).filter(|root| root.is_dir());
        let roots: BTreeSet<PathBuf> = roots.map(Path::to_owned).collect();
        let mut reason = None;
        for root in &roots {
            reason = reason.or(listed(settings, root)?);
        }
        Ok(Self { roots, reason })
    }

    /// Why nothing is removed at a destination that has these copies, if nothing is.
    pub fn at<'a>(
        &self,
        copies: impl Iterator<Item = &'a Copy>,
        now: DateTime<Utc>,
    ) -> Option<String> {
        let known =
            copies.filter(|copy| copy.is_complete() && copy.name.taken() - now <= TOLERANCE);
        let newest = known.max_by_key(|copy| copy.name.taken());
        let shrunk = newest.filter(|copy| copy.is_shrunk() && !self.is_accepted(copy));
        let of_copy = |copy: &Copy| {
            let file = &copy.file;
            format!(
                "its newest copy, {file}, was made while a bundle held far less than the one before it"
            )
        };
        self.reason.clone().or(shrunk.map(of_copy))
    }

    /// Whether this host has the bundle, and the alarm that was on when it was copied has ended.
    fn is_accepted(&self, copy: &Copy) -> bool {
        self.roots.iter().any(|root| {
            root.join(copy.name.as_str()).is_dir() && !is_alarm_on(root, &copy.name, copy.domain())
        })
    }
}

fn listed(settings: &Settings, root: &Path) -> Result<Option<String>> {
    let domain = settings.domain.iter().flat_map(|domain| ["--domain", domain]);
    let list = Tool::new("bundle-manifest").args(["list", "--quiet", "--json"]).args(domain);
    let list: Listing =
        list.arg(root).json().context("listing the bundles of this host; nothing was removed")?;
    let shrunk = list.shrunk.into_iter().next();
    Ok(shrunk.map(|bundle| format!("{} {}", bundle.name, bundle.reason)))
}
