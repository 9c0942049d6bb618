//! The promises of this crate's readers of outside bytes, for any bytes. Each function panics where one is
//! broken.

use crate::manifest::{Extent, Manifest, Parsed, Sizes};
use crate::name::{Beside, BundleName};
use crate::sums;
use pipe_kit::text::one_line;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

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
    let written = |value: &str| Some(one_line(value).trim().to_owned()).filter(|v| !v.is_empty());
    let expected = Parsed {
        bundle: written(&manifest.bundle),
        version: written(&manifest.version),
        domain: written(&manifest.domain),
        toolkit: written(&manifest.toolkit),
        database: Some(sizes.database),
        objects: Some(objects),
        config: Some(sizes.config),
    };
    assert_eq!(back, expected);
}

/// Checksums that read name only paths inside, and written again read the same.
pub fn sums(bytes: &[u8]) {
    let Ok(sums) = sums::parse(bytes) else { return };
    for path in sums.keys() {
        let mut parts = Path::new(path).components();
        let has_part = parts.clone().next().is_some();
        assert!(has_part && parts.all(|part| matches!(part, Component::Normal(_))), "{path:?}");
    }
    assert_eq!(sums::parse(&sums::text(&sums)).as_ref(), Ok(&sums));
}

/// A name that reads prints back the same and holds its moment, and so does the name of its partial.
pub fn bundle_name(bytes: &[u8]) {
    let Some(name) = BundleName::parse(OsStr::from_bytes(bytes)) else { return };
    assert_eq!(name.as_str().as_bytes(), bytes);
    assert_eq!(name.taken().format("piprio_%Y%m%dT%H%M%SZ").to_string(), name.as_str());
    assert_eq!(name.timestamp().parse(), Ok(name.taken()));
    let partial = name.beside(Beside::Partial);
    assert_eq!(BundleName::parse(OsStr::new(&partial)), None);
    assert_eq!(BundleName::parse_partial(OsStr::new(&partial)), Some(name));
}
