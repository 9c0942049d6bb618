//! The copies of a destination, by its files and the descriptions among them.

use crate::place::Destination;
use crate::place::remote_file::RemoteFile;
use anyhow::Result;
use bundle_format::BundleName;
use bundle_format::shipments::Shipment;
use bundle_format::shipped::{SUFFIX, ShippedManifest, sealed_name};
use std::collections::BTreeMap;

/// One copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub name: BundleName,
    /// The name of the sealed file.
    pub file: String,
    /// The size of the sealed file, if it is there.
    pub size: Option<u64>,
    /// The description, or why there is none that can be used.
    pub manifest: Result<ShippedManifest, String>,
}

impl Copy {
    /// What a look at names, sizes and the description finds wrong.
    pub fn problem(&self) -> Option<String> {
        let manifest = match (&self.manifest, self.size) {
            (_, None) => return Some("the sealed file is missing".into()),
            (Err(why), _) => return Some(why.clone()),
            (Ok(manifest), _) => manifest,
        };
        if manifest.file != self.file {
            return Some(format!("its description is that of {}", manifest.file));
        }
        let size = self.size.unwrap_or_default();
        let expected = manifest.size;
        (size != expected).then(|| format!("it has {size} bytes, not {expected}"))
    }

    /// As this host would have recorded it, if it is described.
    pub fn shipment(&self) -> Option<Shipment> {
        self.manifest.as_ref().ok().map(ShippedManifest::shipment)
    }

    /// Whether it is complete, and of a bundle with this seal.
    pub fn is_of(&self, seal: Option<&str>) -> bool {
        let is_same = |manifest: &ShippedManifest| manifest.seal.as_deref() == seal;
        self.problem().is_none() && self.manifest.as_ref().is_ok_and(is_same)
    }
}

/// The copies of a destination, newest first.
///
/// # Errors
/// If its files cannot be listed, or a description that is there not be read.
pub fn of(destination: &Destination) -> Result<Vec<Copy>> {
    let files = destination.place.list()?;
    let sizes: BTreeMap<&str, u64> = files.iter().map(|f| (f.name.as_str(), f.size)).collect();
    let mut copies = Vec::new();
    for file in sealed_files(&files) {
        let Some(name) = sealed_name(&file) else { continue };
        let described = format!("{file}{SUFFIX}");
        let manifest = match sizes.contains_key(described.as_str()) {
            false => Err("it has no description, so it is not complete".to_owned()),
            true => ShippedManifest::parse(&destination.place.read(&described)?)
                .map_err(|why| format!("its description is damaged: {why}")),
        };
        let size = sizes.get(file.as_str()).copied();
        copies.push(Copy { name, file, size, manifest });
    }
    copies.sort_by(|a, b| (b.name.taken(), &b.file).cmp(&(a.name.taken(), &a.file)));
    Ok(copies)
}

/// The names of sealed files, also of those of which only the description is left.
fn sealed_files(files: &[RemoteFile]) -> Vec<String> {
    let names = files.iter().map(|file| file.name.as_str());
    let sealed = names.map(|name| name.strip_suffix(SUFFIX).unwrap_or(name));
    let mut sealed: Vec<String> =
        sealed.filter(|name| sealed_name(name).is_some()).map(str::to_owned).collect();
    sealed.sort();
    sealed.dedup();
    sealed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;
    use crate::place::directory::Directory;

    const NAME: &str = "piprio_20260421T020000Z.tar.age";

    fn manifest(file: &str, size: u64) -> String {
        let bundle = file.strip_suffix(".tar.age").unwrap().to_owned();
        let manifest = ShippedManifest {
            bundle,
            file: file.into(),
            domain: "d".into(),
            size,
            sha256: "0".repeat(64),
            seal: Some("1".repeat(64)),
            shipped: "2026-04-21T02:10:00Z".parse().unwrap(),
            retain_until: None,
            parts: vec!["0".repeat(64)],
        };
        manifest.to_text().unwrap()
    }

    fn problems(files: &[(&str, &str)]) -> Vec<Option<String>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let place = Place::Directory(Directory::new(dir.path()));
        let destination = Destination { number: 1, name: "d".into(), place, retain_days: None };
        of(&destination).unwrap().iter().map(Copy::problem).collect()
    }

    #[test]
    fn a_copy_is_complete_with_a_description_of_its_own_name_and_size() {
        let json = format!("{NAME}.json");
        let good = manifest(NAME, 3);
        assert_eq!(problems(&[(NAME, "abc"), (&json, &good), ("other", "")]), [None]);
        let found = |files: &[(&str, &str)]| problems(files).remove(0).unwrap_or_default();
        assert!(found(&[(NAME, "abc")]).contains("no description"));
        assert!(found(&[(&json, &good)]).contains("sealed file is missing"));
        assert!(found(&[(NAME, "ab"), (&json, &good)]).contains("2 bytes, not 3"));
        assert!(found(&[(NAME, "abc"), (&json, &good[1..])]).contains("damaged"));
        let other = manifest("piprio_20260422T020000Z.tar.age", 3);
        assert!(found(&[(NAME, "abc"), (&json, &other)]).contains("description is that of"));
    }
}
