//! The copies of a destination, by what lies there, the descriptions among it, and this host's own record.

use crate::place::remote_file::RemoteFile;
use crate::place::restic::snapshot::Snapshot;
use crate::place::{Destination, Files, Place, unusable};
use crate::record::Record;
use anyhow::Result;
use bundle_format::BundleName;
use bundle_format::shipments::Shipment;
use bundle_format::shipped::{AGE, GPG, SUFFIX, ShippedManifest, sealed_name};
use chrono::{DateTime, TimeDelta, Utc};
use pipe_kit::{Exit, status};
use std::collections::{BTreeMap, BTreeSet};

/// How long a run may take between a sealed file and its description.
const BEING_WRITTEN: TimeDelta = TimeDelta::days(1);

/// What lies at a destination, listed once.
pub enum Listing {
    Files(BTreeMap<String, RemoteFile>),
    Snapshots(Vec<Snapshot>),
}

/// One copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub name: BundleName,
    /// The name of the sealed file; or of the bundle, with the snapshot's id.
    pub file: String,
    /// In bytes, if it is there.
    pub size: Option<u64>,
    pub form: Form,
    pub state: State,
}

/// What a copy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A sealed file, with its description if that can be used.
    Sealed(Option<ShippedManifest>),
    Snapshot(Snapshot),
}

/// What a look at names, sizes, the description and the record concludes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Complete,
    /// It has no description yet, and is young enough to be in the making.
    Unfinished,
    /// As [`State::Complete`], but a check has found it damaged.
    Suspect,
    /// What is wrong with it.
    Damaged(String),
    /// Why its description could not be read, and the status for that.
    Unread(String, Exit),
}

impl State {
    /// Why it is not complete, if it is not.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Complete => None,
            Self::Unfinished => Some("it has no description yet, so it is not complete"),
            Self::Suspect => Some("a check has found it damaged, or the repository that it is in"),
            Self::Damaged(why) | Self::Unread(why, _) => Some(why),
        }
    }
}

impl Copy {
    pub fn manifest(&self) -> Option<&ShippedManifest> {
        match &self.form {
            Form::Sealed(manifest) => manifest.as_ref(),
            Form::Snapshot(_) => None,
        }
    }

    pub fn domain(&self) -> Option<&str> {
        match &self.form {
            Form::Sealed(manifest) => manifest.as_ref().map(|manifest| manifest.domain.as_str()),
            Form::Snapshot(snapshot) => snapshot.domain(),
        }
    }

    /// The SHA-256 of the seal of its bundle, as far as it is known.
    pub fn seal(&self) -> Option<&str> {
        match &self.form {
            Form::Sealed(manifest) => manifest.as_ref()?.seal.as_deref(),
            Form::Snapshot(snapshot) => snapshot.seal(),
        }
    }

    pub fn snapshot_id(&self) -> Option<&str> {
        match &self.form {
            Form::Sealed(_) => None,
            Form::Snapshot(snapshot) => Some(&snapshot.id),
        }
    }

    pub fn retain_until(&self) -> Option<DateTime<Utc>> {
        self.manifest()?.retain_until
    }

    /// Whether its bundle, or an older one, held far less than the one before it when the copy was made.
    pub fn is_shrunk(&self) -> bool {
        match &self.form {
            Form::Sealed(manifest) => manifest.as_ref().is_some_and(|manifest| manifest.shrunk),
            Form::Snapshot(snapshot) => snapshot.is_shrunk(),
        }
    }

    /// Whether it is encrypted for others than those whose hash this is, as far as both are known.
    pub fn is_for_others(&self, recipients: Option<&str>) -> bool {
        let own = self.manifest().and_then(|manifest| manifest.recipients.as_deref());
        own.zip(recipients).is_some_and(|(own, today)| own != today)
    }

    /// As this host would have recorded it.
    pub fn shipment(&self) -> Option<Shipment> {
        match &self.form {
            Form::Sealed(manifest) => manifest.as_ref().map(ShippedManifest::shipment),
            Form::Snapshot(snapshot) => Some(snapshot.shipment()),
        }
    }

    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }
}

/// Lists what lies at a destination.
///
/// # Errors
/// [`pipe_kit::Stop::refused`] if its keys may not list.
pub fn list(destination: &Destination) -> Result<Listing> {
    match &destination.place {
        Place::Files(files) => {
            let files = files.list()?.into_iter().map(|file| (file.name.clone(), file));
            Ok(Listing::Files(files.collect()))
        }
        Place::Restic(repository) => repository.snapshots().map(Listing::Snapshots),
        Place::Unusable(why) => Err(unusable(why)),
    }
}

/// The copies of a destination, newest first.
///
/// # Errors
/// If it cannot be listed.
pub fn of(destination: &Destination, shipped: &Record) -> Result<Vec<Copy>> {
    let listing = list(destination)?;
    let mut copies = match (&listing, &destination.place) {
        (Listing::Files(names), Place::Files(files)) => sealed_files(names.keys())
            .into_iter()
            .filter_map(|file| sealed(destination, files, names, &file, shipped))
            .collect(),
        (Listing::Snapshots(all), _) => {
            all.iter().filter_map(|one| snapshot(destination, one, shipped)).collect()
        }
        _ => Vec::new(),
    };
    copies.sort_by(|a: &Copy, b| (b.name.taken(), &b.file).cmp(&(a.name.taken(), &a.file)));
    Ok(copies)
}

/// The copies of one bundle. Nothing is read of any other.
pub fn of_bundle(
    destination: &Destination,
    listing: &Listing,
    bundle: &BundleName,
    shipped: &Record,
) -> Vec<Copy> {
    match (listing, &destination.place) {
        (Listing::Files(names), Place::Files(files)) => [AGE, GPG]
            .into_iter()
            .map(|suffix| format!("{}{suffix}", bundle.as_str()))
            .filter_map(|file| sealed(destination, files, names, &file, shipped))
            .collect(),
        (Listing::Snapshots(all), _) => {
            let copies = all.iter().filter_map(|one| snapshot(destination, one, shipped));
            copies.filter(|copy| copy.name == *bundle).collect()
        }
        _ => Vec::new(),
    }
}

/// A sealed file and its description; none if neither is there.
fn sealed(
    destination: &Destination,
    files: &Files,
    names: &BTreeMap<String, RemoteFile>,
    file: &str,
    shipped: &Record,
) -> Option<Copy> {
    let name = sealed_name(file)?;
    let described = format!("{file}{SUFFIX}");
    // One that is empty is to be written yet.
    let is_described = names.get(&described).is_some_and(|description| description.size > 0);
    let found = names.get(file);
    if found.is_none() && !is_described {
        return None;
    }
    let read = is_described.then(|| files.read(&described));
    let (manifest, mut state) = described_as(file, found, read);
    if let (State::Complete, Some(manifest)) = (&state, &manifest) {
        let shipment = manifest.shipment();
        if shipped.contradicts(destination, &name, &shipment) {
            let why = "it is not the file that this host has copied there: it was replaced";
            state = State::Damaged(why.into());
        } else if shipped.is_damaged(destination, &name) {
            state = State::Suspect;
        }
    }
    let (file, size) = (file.to_owned(), found.map(|file| file.size));
    Some(Copy { name, file, size, form: Form::Sealed(manifest), state })
}

/// The description of a sealed file, and what the two come to. `read` is none if there is no description.
fn described_as(
    file: &str,
    found: Option<&RemoteFile>,
    read: Option<Result<Vec<u8>>>,
) -> (Option<ShippedManifest>, State) {
    let damaged = |why: String| State::Damaged(why);
    let manifest = match (read, found) {
        (None, Some(found)) if Utc::now() - found.modified < BEING_WRITTEN => {
            return (None, State::Unfinished);
        }
        (None, _) => {
            return (None, damaged("it has no description, so it is not complete".into()));
        }
        (Some(Err(error)), _) if status::of(&error) != Exit::Damaged => {
            let why = format!("its description cannot be read: {error:#}");
            return (None, State::Unread(why, status::of(&error)));
        }
        (Some(read), _) => {
            let parse = |bytes: Vec<u8>| ShippedManifest::parse(&bytes);
            match read.map_err(|error| format!("{error:#}")).and_then(parse) {
                Ok(manifest) => manifest,
                Err(why) => return (None, damaged(format!("its description is damaged: {why}"))),
            }
        }
    };
    let state = match found.map(|found| found.size) {
        None => damaged("the sealed file is missing".into()),
        _ if manifest.file != file => {
            damaged(format!("its description is that of {}", manifest.file))
        }
        Some(size) if size != manifest.size => {
            damaged(format!("it has {size} bytes, not {}", manifest.size))
        }
        Some(_) => State::Complete,
    };
    (Some(manifest), state)
}

/// A snapshot; none if it is of no bundle.
fn snapshot(destination: &Destination, one: &Snapshot, shipped: &Record) -> Option<Copy> {
    let name = one.bundle()?;
    // All snapshots share the data.
    let state = match shipped.has_damage(destination) {
        true => State::Suspect,
        false => State::Complete,
    };
    let file = format!("{} (snapshot {})", name.as_str(), one.short_id);
    Some(Copy { name, file, size: one.bytes(), form: Form::Snapshot(one.clone()), state })
}

/// The names of sealed files, also of those of which only the description is left.
fn sealed_files<'a>(names: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let sealed = names.map(|name| name.strip_suffix(SUFFIX).unwrap_or(name));
    sealed.filter(|name| sealed_name(name).is_some()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::directory::Directory;
    use std::path::Path;

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
            recipients: None,
            shrunk: false,
            parts: vec!["0".repeat(64)],
        };
        manifest.to_text().unwrap()
    }

    fn destination(dir: &Path) -> Destination {
        let place = Place::Files(Files::Directory(Directory::new(dir)));
        Destination { number: 1, name: "d".into(), place, retain_days: None }
    }

    fn states(files: &[(&str, &str)], record: &str) -> Vec<State> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let file = dir.path().join("record");
        std::fs::write(&file, record).unwrap();
        let copies = of(&destination(dir.path()), &Record::read(file)).unwrap();
        copies.into_iter().map(|copy| copy.state).collect()
    }

    #[test]
    fn a_copy_is_complete_with_a_description_of_its_own_name_and_size() {
        let json = format!("{NAME}.json");
        let good = manifest(NAME, 3);
        let complete = [(NAME, "abc"), (&json, &good), ("other", "")];
        assert_eq!(states(&complete, ""), [State::Complete]);
        let found = |files: &[(&str, &str)]| match states(files, "").remove(0) {
            State::Damaged(why) => why,
            state => panic!("{state:?}"),
        };
        assert_eq!(states(&[(NAME, "abc")], ""), [State::Unfinished]);
        assert!(found(&[(&json, &good)]).contains("sealed file is missing"));
        assert!(found(&[(NAME, "ab"), (&json, &good)]).contains("2 bytes, not 3"));
        assert!(found(&[(NAME, "abc"), (&json, &good[1..])]).contains("damaged"));
        let large = " ".repeat(3 << 20);
        assert!(found(&[(NAME, "abc"), (&json, &large)]).contains("larger than"));
        let other = manifest("piprio_20260422T020000Z.tar.age", 3);
        assert!(found(&[(NAME, "abc"), (&json, &other)]).contains("description is that of"));
    }

    #[test]
    fn what_this_host_has_recorded_of_a_copy_counts() {
        let (json, good) = (format!("{NAME}.json"), manifest(NAME, 3));
        let files = [(NAME, "abc"), (json.as_str(), good.as_str())];
        let record = |sha256: &str, more: &str| {
            format!(
                r#"{{"d":{{"piprio_20260421T020000Z":{{"seal":null,"sha256":"{sha256}","size":3,"at":"2026-04-21T02:10:00Z"{more}}}}}}}"#
            )
        };
        assert_eq!(states(&files, &record(&"0".repeat(64), "")), [State::Complete]);
        let found_damaged = record(&"0".repeat(64), r#","damaged":true"#);
        assert_eq!(states(&files, &found_damaged), [State::Suspect]);
        let [State::Damaged(why)] = &states(&files, &record("another", ""))[..] else {
            panic!("not replaced")
        };
        assert!(why.contains("was replaced"), "{why}");
    }

    #[test]
    fn a_description_that_cannot_be_read_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(NAME), "abc").unwrap();
        // No regular file.
        std::fs::create_dir(dir.path().join(format!("{NAME}.json"))).unwrap();
        let names = list(&destination(dir.path())).unwrap();
        let Listing::Files(mut names) = names else { panic!("files") };
        let described = RemoteFile { name: format!("{NAME}.json"), ..names[NAME].clone() };
        names.insert(described.name.clone(), described);
        let name = sealed_name(NAME).unwrap();
        let record = Record::read(dir.path().join("none"));
        let copies = of_bundle(&destination(dir.path()), &Listing::Files(names), &name, &record);
        assert!(matches!(copies[0].state, State::Unread(_, Exit::Failed)), "{copies:?}");
    }
}
