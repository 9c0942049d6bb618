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
    /// The SHA-256 of the bundle's seal, hex; none of a bundle without one, or of a copy that a check has found damaged
    /// and this host had no record of.
    pub seal: Option<String>,
    /// Of the sealed file, hex; none in a restic repository, or where the seal is not known.
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

impl Shipment {
    /// Whether only damage is known of it.
    fn is_mark(&self) -> bool {
        self.damaged && self.seal.is_none() && self.sha256.is_none()
    }

    /// Whether what was found may be this copy, by what is known of it.
    fn may_be(&self, found: &Self) -> bool {
        let fits = |own: &Option<String>, other: &Option<String>| own.is_none() || own == other;
        fits(&self.sha256, &found.sha256) && fits(&self.seal, &found.seal)
    }
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
            // What is forgotten of a damaged copy would make it a good one.
            let least = copies.iter().find(|(_, copy)| !copy.damaged).map(|(name, _)| name.clone());
            match least {
                Some(name) => drop(copies.remove(&name)),
                None => drop(copies.pop_first()),
            }
        }
    }

    /// Whether a check has found any copy at a place damaged.
    #[must_use]
    pub fn has_damage(&self, place: &str) -> bool {
        self.0.get(place).is_some_and(|copies| copies.values().any(|copy| copy.damaged))
    }

    /// Notes that a check has found this copy damaged, also one that this host has no record of. If another copy is
    /// recorded, it was made since.
    pub fn found_damaged(&mut self, place: &str, bundle: &str, found: &Shipment) {
        match self.found(place, bundle) {
            Some(copy) if copy.may_be(found) => copy.damaged = true,
            Some(_) => {}
            // Only the host that has made a copy knows which one belongs there.
            None => {
                let mark = Shipment { seal: None, sha256: None, damaged: true, ..found.clone() };
                self.add(place, bundle, mark);
            }
        }
    }

    /// Notes that a check has found this copy intact.
    pub fn found_intact(&mut self, place: &str, bundle: &str, found: &Shipment) {
        match self.found(place, bundle) {
            Some(copy) if copy.is_mark() => self.remove(place, bundle),
            Some(copy) if copy.may_be(found) => copy.damaged = false,
            _ => {}
        }
    }

    /// Notes that nothing at a place is damaged: copies that were found damaged and not intact since are gone.
    pub fn forget_damaged(&mut self, place: &str) {
        if let Some(copies) = self.0.get_mut(place) {
            copies.retain(|_, copy| !copy.damaged);
        }
    }

    fn found(&mut self, place: &str, bundle: &str) -> Option<&mut Shipment> {
        self.0.get_mut(place)?.get_mut(bundle)
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
        shipments.found_damaged("/a", new, &shipment(new));
        let names: Vec<_> = shipments.at("/a").map(|name| name.as_str().to_owned()).collect();
        assert_eq!(names, [old]);
        shipments.remove("/a", new);
        assert_eq!(shipments.get("/a", new), None);
        assert!(shipments.get("/a", "b1").is_some());
    }

    #[test]
    fn what_a_check_has_found_is_noted_of_that_copy_and_of_one_without_a_record() {
        let mut shipments = Shipments::default();
        let found = shipment("found");
        shipments.found_intact("/a", "b", &found);
        assert_eq!(shipments, Shipments::default());
        shipments.found_damaged("/a", "b", &found);
        let mark = Shipment { seal: None, sha256: None, damaged: true, ..found.clone() };
        assert_eq!(shipments.get("/a", "b"), Some(&mark));
        assert!(shipments.has_damage("/a") && !shipments.has_damage("/b"));
        // Whatever lies there now is intact.
        shipments.found_intact("/a", "b", &found);
        assert_eq!(shipments.get("/a", "b"), None);
        // A copy that was made since the check began.
        shipments.add("/a", "b", shipment("new"));
        shipments.found_damaged("/a", "b", &found);
        assert!(!shipments.has_damage("/a"));
        shipments.found_damaged("/a", "b", &shipment("new"));
        shipments.found_intact("/a", "b", &found);
        assert!(shipments.has_damage("/a"));
        shipments.found_intact("/a", "b", &shipment("new"));
        assert_eq!(shipments.get("/a", "b"), Some(&shipment("new")));
        shipments.found_damaged("/a", "b", &shipment("new"));
        shipments.add("/a", "c", shipment("other"));
        shipments.forget_damaged("/a");
        assert_eq!((shipments.get("/a", "b"), shipments.has_damage("/a")), (None, false));
        assert!(shipments.get("/a", "c").is_some());
    }

    #[test]
    fn of_many_copies_those_that_are_damaged_are_remembered() {
        let mut shipments = Shipments::default();
        shipments.found_damaged("/a", "0", &shipment("0"));
        for number in 1..=REMEMBERED {
            shipments.add("/a", &format!("1{number:04}"), shipment("x"));
        }
        assert!(shipments.has_damage("/a"));
        assert_eq!(shipments.get("/a", "10001"), None);
        assert!(shipments.get("/a", "10002").is_some());
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
