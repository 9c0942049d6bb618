//! What this host has copied where: `DEPLOY/.restore/ship/shipped.json`.

use crate::name::BundleName;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

/// The file, in the directory of the toolkit's state.
pub const FILE: &str = "ship/shipped.json";
/// The most copies that are remembered of a place.
const REMEMBERED: usize = 1000;

/// One copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    /// The SHA-256 of the bundle's seal, hex.
    pub seal: Option<String>,
    /// Of the sealed file, hex; none in a restic repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Of the sealed file, or of the files of the bundle, in bytes.
    pub size: u64,
    /// When it was copied, or found to be there.
    pub at: DateTime<Utc>,
    /// Whether a check has found it damaged since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

/// The copies by place and bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shipments(BTreeMap<String, BTreeMap<String, Shipment>>);

impl Shipments {
    /// Reads the file. One that is missing or cannot be read is empty.
    #[must_use]
    pub fn read(file: &Path) -> Self {
        // Reading a named pipe in its place would block.
        let is_file = file.symlink_metadata().is_ok_and(|found| found.is_file());
        let text = if is_file { std::fs::read(file).unwrap_or_default() } else { Vec::new() };
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// The copy of a bundle at a place.
    #[must_use]
    pub fn get(&self, place: &str, bundle: &str) -> Option<&Shipment> {
        self.0.get(place)?.get(bundle)
    }

    /// The bundles that were copied to a place, the newest first. A copy that is damaged does not count.
    pub fn at(&self, place: &str) -> impl Iterator<Item = BundleName> {
        let copies = self.0.get(place).into_iter().flat_map(|copies| copies.iter().rev());
        let good = copies.filter(|(_, shipment)| !shipment.damaged);
        good.filter_map(|(name, _)| BundleName::parse(OsStr::new(name)))
    }

    /// The copies of a bundle, each with its place.
    pub fn of_bundle(&self, bundle: &str) -> impl Iterator<Item = (&str, &Shipment)> {
        self.0.iter().filter_map(move |(place, copies)| Some((place.as_str(), copies.get(bundle)?)))
    }

    /// Notes a copy.
    pub fn add(&mut self, place: &str, bundle: &str, shipment: Shipment) {
        let copies = self.0.entry(place.to_owned()).or_default();
        copies.insert(bundle.to_owned(), shipment);
        while copies.len() > REMEMBERED {
            copies.pop_first();
        }
    }

    /// Notes what a check has found of a copy.
    pub fn set_damaged(&mut self, place: &str, bundle: &str, damaged: bool) {
        if let Some(copy) = self.0.get_mut(place).and_then(|copies| copies.get_mut(bundle)) {
            copy.damaged = damaged;
        }
    }

    /// Notes that a copy is gone.
    pub fn remove(&mut self, place: &str, bundle: &str) {
        if let Some(copies) = self.0.get_mut(place) {
            copies.remove(bundle);
        }
    }
}

/// The name of a destination: its setting `SHIP_n`, with `SHIP_n_ENDPOINT` where there is one, because two storages
/// can have buckets of one name. It holds no password.
#[must_use]
pub fn place(setting: &str, endpoint: Option<&str>) -> String {
    let is_bucket = setting.starts_with("s3://");
    let place = without_password(if is_bucket { setting.trim_end_matches('/') } else { setting });
    match endpoint.filter(|_| is_bucket) {
        Some(endpoint) => {
            format!("{place} at {}", without_password(endpoint.trim_end_matches('/')))
        }
        None => place,
    }
}

/// A text without the user and password of the URL in it, if there is one.
#[must_use]
pub fn without_password(text: &str) -> String {
    let Some(scheme) = text.find("://") else { return text.to_owned() };
    let (scheme, rest) = text.split_at(scheme + 3);
    let (server, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
    format!("{scheme}{server}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipment(seal: &str) -> Shipment {
        let at = "2026-04-21T02:10:00Z".parse().unwrap();
        let (seal, sha256) = (Some(seal.into()), Some("ab".into()));
        Shipment { seal, sha256, size: 7, at, damaged: false }
    }

    #[test]
    fn copies_are_found_by_place_by_bundle_and_by_age() {
        let mut shipments = Shipments::default();
        let (old, new) = ("piprio_20260420T020000Z", "piprio_20260421T020000Z");
        for (place, bundle) in [("/a", new), ("/a", old), ("/a", "b1"), ("s3://b", "b1")] {
            shipments.add(place, bundle, shipment(bundle));
        }
        let names: Vec<_> = shipments.at("/a").map(|name| name.as_str().to_owned()).collect();
        assert_eq!(names, [new, old]);
        assert_eq!(shipments.at("/other").count(), 0);
        let places: Vec<_> = shipments.of_bundle("b1").map(|(place, _)| place).collect();
        assert_eq!(places, ["/a", "s3://b"]);
        shipments.set_damaged("/a", new, true);
        let names: Vec<_> = shipments.at("/a").map(|name| name.as_str().to_owned()).collect();
        assert_eq!(names, [old]);
        shipments.remove("/a", new);
        assert_eq!(shipments.get("/a", new), None);
        assert!(shipments.get("/a", "b1").is_some());
    }

    #[test]
    fn the_file_has_the_documented_shape_and_one_that_is_damaged_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shipped.json");
        let mut shipments = Shipments::default();
        shipments.add("/a", "b", shipment("cd"));
        let text = serde_json::to_string(&shipments).unwrap();
        assert_eq!(
            text,
            r#"{"/a":{"b":{"seal":"cd","sha256":"ab","size":7,"at":"2026-04-21T02:10:00Z"}}}"#
        );
        std::fs::write(&file, &text).unwrap();
        assert_eq!(Shipments::read(&file), shipments);
        std::fs::write(&file, &text[1..]).unwrap();
        assert_eq!(Shipments::read(&file), Shipments::default());
        std::fs::remove_file(&file).unwrap();
        assert_eq!(Shipments::read(&file), Shipments::default());
    }

    #[test]
    fn the_name_of_a_place_holds_no_password() {
        for (setting, name) in [
            ("s3://b/p/", "s3://b/p"),
            ("/mnt/copies", "/mnt/copies"),
            ("restic:/srv/r", "restic:/srv/r"),
            ("restic:rest:https://u:p%40w@h:8000/r", "restic:rest:https://h:8000/r"),
            ("restic:rest:https://u:p@w@h", "restic:rest:https://h"),
            ("restic:s3:https://h/b@c", "restic:s3:https://h/b@c"),
        ] {
            assert_eq!(place(setting, None), name);
        }
        let endpoint = Some("https://u:p@s3.example.org/");
        assert_eq!(place("s3://b/p", endpoint), "s3://b/p at https://s3.example.org");
        assert_eq!(place("/mnt/copies", endpoint), "/mnt/copies");
    }
}
