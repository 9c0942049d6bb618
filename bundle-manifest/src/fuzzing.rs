//! The promises of this crate's readers of outside bytes, for any bytes. Each function panics where
//! one is broken.

use crate::bundle_name::BundleName;
use crate::dump_head;
use crate::hash;
use crate::landing::Ground;
use crate::manifest::{Manifest, Parsed, Sizes};
use crate::mirror::Extent;
use crate::sums::{self, Sums};
use crate::text::one_line;
use crate::unpack::untar;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Any text reads, what is read stands in it, and what is written of any values reads back as them.
pub fn manifest(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = Parsed::read(&text);
    for value in [&read.bundle, &read.version, &read.domain, &read.toolkit].into_iter().flatten() {
        assert!(!value.is_empty() && value.trim() == value && !value.contains('\n'), "{value:?}");
        assert!(text.contains(value), "{value:?}");
    }
    let mut values = text.split('\0').map(str::to_owned);
    let mut value = || values.next().unwrap_or_default();
    let objects = read.objects.unwrap_or(Some(Extent { objects: u64::MAX, bytes: 0 }));
    let sizes = Sizes { database: read.database.unwrap_or(0), objects, config: u64::MAX };
    let manifest = Manifest {
        bundle: value(),
        timestamp: value(),
        host: value(),
        version: value(),
        domain: value(),
        postgres: value(),
        toolkit: value(),
        sizes,
    };
    let back = Parsed::read(&manifest.render());
    let said = |value: &str| Some(one_line(value).trim().to_owned()).filter(|v| !v.is_empty());
    let expected = Parsed {
        bundle: said(&manifest.bundle),
        version: said(&manifest.version),
        domain: said(&manifest.domain),
        toolkit: said(&manifest.toolkit),
        database: Some(sizes.database),
        objects: Some(objects),
        config: Some(sizes.config),
    };
    assert_eq!(back, expected);
}

/// Sums that read name only paths inside, and written again read the same.
pub fn sums(bytes: &[u8]) {
    let Ok(sums) = sums::parse(bytes) else { return };
    for path in sums.keys() {
        assert!(is_inside(path), "{path:?}");
    }
    assert_eq!(sums::parse(&written(&sums)).as_ref(), Ok(&sums));
}

/// What sums list, each path with its sum in hexadecimal; nothing where they cannot be read.
#[must_use]
pub fn listed(sums: &[u8]) -> Option<Vec<(OsString, String)>> {
    let sums = sums::parse(sums).ok()?;
    Some(sums.into_iter().map(|(path, digest)| (path, sums::hex(&digest))).collect())
}

fn written(sums: &Sums) -> Vec<u8> {
    let mut text = Vec::new();
    for (path, digest) in sums {
        assert!(sums::write_line(&mut text, digest, path).is_ok());
    }
    text
}

fn is_inside(path: &OsStr) -> bool {
    let mut parts = Path::new(path).components();
    parts.clone().next().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// A name that reads prints back the same and names its moment, and so does its partial.
pub fn bundle_name(bytes: &[u8]) {
    let Some(name) = BundleName::parse(OsStr::from_bytes(bytes)) else { return };
    assert_eq!(name.as_str().as_bytes(), bytes);
    assert_eq!(name.taken().format("piprio_%Y%m%dT%H%M%SZ").to_string(), name.as_str());
    assert_eq!(name.timestamp().parse(), Ok(name.taken()));
    let partial = format!(".{}.partial", name.as_str());
    assert_eq!(BundleName::parse(OsStr::new(&partial)), None);
    assert_eq!(BundleName::parse_partial(OsStr::new(&partial)), Some(name));
}

/// Whether that is the name of a finished bundle.
#[must_use]
pub fn is_bundle_name(name: &str) -> bool {
    BundleName::parse(OsStr::new(name)).is_some()
}

/// The version told by a dump's head is one line of it.
pub fn dump_head(bytes: &[u8]) {
    if let Ok(Some(version)) = dump_head::find(bytes) {
        assert!(!version.contains('\n') && version.len() <= 3 * bytes.len(), "{version:?}");
    }
}

/// An archive is unpacked below its partial bundle alone, each file with the sum of what lies there,
/// and nothing is left of it that was not kept.
pub fn archive(bytes: &[u8]) {
    let outer = std::env::temp_dir().join(format!("unpack-{}", std::process::id()));
    let inner = outer.join("bundles");
    let ground = Ground::prepare(&inner).unwrap_or_else(|error| panic!("{error:#}"));
    if let Ok(landing) = untar(bytes, &ground) {
        let found = below(&landing.partial);
        for (path, digest) in &landing.written {
            let file = landing.partial.join(path);
            assert!(is_inside(path) && found.contains(&file), "{path:?}");
            assert_eq!(hash::file(&file, |_| {}).ok().as_ref(), Some(digest), "{path:?}");
        }
        let all = below(&outer).into_iter();
        let rest: Vec<_> = all.filter(|path| !path.starts_with(&landing.partial)).collect();
        assert_eq!(rest, [inner.clone(), inner.join(".lock")]);
    }
    assert_eq!(below(&outer), [inner.clone(), inner.join(".lock")]);
    drop(ground);
    assert!(std::fs::remove_dir_all(&outer).is_ok());
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(dir).min_depth(1).sort_by_file_name().into_iter();
    entries.filter_map(|entry| Some(entry.ok()?.into_path())).collect()
}
