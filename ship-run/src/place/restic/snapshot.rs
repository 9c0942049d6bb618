//! A snapshot of a bundle, and the tags that describe it.

use bundle_format::BundleName;
use bundle_format::domain::{differ, known};
use bundle_format::shipments::Shipment;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::ffi::OsStr;

/// The tag of all snapshots of bundles.
pub const TAG: &str = "piprio";
const SEAL: &str = "seal=";
const DOMAIN: &str = "domain=";
const BYTES: &str = "bytes=";
/// The tag of a bundle that, as an older one, holds far less than the one before it.
const SHRUNK: &str = "shrunk";

/// One snapshot, as `restic snapshots --json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Snapshot {
    pub id: String,
    pub short_id: String,
    /// The bundle's time.
    pub time: DateTime<Utc>,
    #[serde(default)]
    pub tags: Option<Vec<String>>,
}

/// What `restic forget --json` prints.
pub type Groups = Vec<Group>;

/// The snapshots that a policy was applied to.
#[derive(Debug, Deserialize)]
pub struct Group {
    pub remove: Option<Vec<Snapshot>>,
}

/// The tags of a snapshot of a bundle.
pub fn tags(
    name: &BundleName,
    domain: &str,
    seal: Option<&str>,
    bytes: u64,
    is_shrunk: bool,
) -> String {
    let seal = seal.map(|seal| format!(",{SEAL}{seal}")).unwrap_or_default();
    let shrunk = if is_shrunk { format!(",{SHRUNK}") } else { String::new() };
    format!("{TAG},{},{}{seal},{BYTES}{bytes}{shrunk}", name.as_str(), domain_tag(domain))
}

/// A comma separates tags.
pub fn domain_tag(domain: &str) -> String {
    format!("{DOMAIN}{}", domain.replace(',', "_"))
}

impl Snapshot {
    fn value(&self, key: &str) -> Option<&str> {
        self.tags.iter().flatten().find_map(|tag| tag.strip_prefix(key))
    }

    /// The bundle that it is of; none if its tags do not name one.
    pub fn bundle(&self) -> Option<BundleName> {
        self.tags.iter().flatten().find_map(|tag| BundleName::parse(OsStr::new(tag)))
    }

    pub fn seal(&self) -> Option<&str> {
        self.value(SEAL)
    }

    pub fn domain(&self) -> Option<&str> {
        known(self.value(DOMAIN))
    }

    /// Whether it is of the deployment with this domain, as far as both are known.
    pub fn is_of(&self, domain: &str) -> bool {
        let tagged = domain.replace(',', "_");
        let both = self.domain().zip(known(Some(&tagged)));
        both.is_some_and(|(one, other)| !differ(Some(one), Some(other)))
    }

    /// The size of the bundle's files.
    pub fn bytes(&self) -> Option<u64> {
        self.value(BYTES)?.parse().ok()
    }

    /// Whether its bundle, or an older one, held far less than the one before it when it was stored.
    pub fn is_shrunk(&self) -> bool {
        self.tags.iter().flatten().any(|tag| tag == SHRUNK)
    }

    /// As this host would have recorded it.
    pub fn shipment(&self) -> Shipment {
        Shipment {
            seal: self.seal().map(str::to_owned),
            sha256: None,
            size: self.bytes().unwrap_or_default(),
            at: Utc::now(),
            damaged: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_they_were_written() {
        let name = BundleName::parse(OsStr::new("piprio_20260421T020000Z")).unwrap();
        let text = tags(&name, "docs.example.org", Some("ab"), 7, false);
        assert_eq!(text, "piprio,piprio_20260421T020000Z,domain=docs.example.org,seal=ab,bytes=7");
        let snapshot = |tags: &str| Snapshot {
            id: "i".into(),
            short_id: "s".into(),
            time: name.taken(),
            tags: Some(tags.split(',').map(str::to_owned).collect()),
        };
        let read = snapshot(&text);
        assert_eq!(read.bundle().as_ref(), Some(&name));
        assert_eq!((read.seal(), read.bytes()), (Some("ab"), Some(7)));
        assert_eq!(read.domain(), Some("docs.example.org"));
        assert!(!read.is_shrunk());
        let bare = snapshot(&tags(&name, "unknown", None, 7, true));
        assert!(bare.is_shrunk());
        assert_eq!((bare.seal(), bare.domain()), (None, None));
        assert_eq!(snapshot("piprio,other").bundle(), None);
        assert_eq!(domain_tag("a,b"), "domain=a_b");
        assert!(read.is_of("Docs.example.org") && !read.is_of("example.org"));
        assert!(!bare.is_of("docs.example.org") && !bare.is_of("unknown"));
    }

    #[test]
    fn what_restic_prints_is_read() {
        let text = r#"[{"time":"2026-04-21T02:00:00Z","tree":"33","paths":["/b"],"hostname":"h","username":"root","id":"52f0","short_id":"52"}]"#;
        let read: Vec<Snapshot> = serde_json::from_str(text).unwrap();
        assert_eq!((read[0].id.as_str(), read[0].bundle()), ("52f0", None));
        let groups: Groups =
            serde_json::from_str(r#"[{"tags":null,"keep":null,"remove":null,"reasons":[]}]"#)
                .unwrap();
        assert!(groups[0].remove.is_none());
    }
}
