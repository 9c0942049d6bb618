//! The promises of this crate's readers of outside bytes, for any bytes. Each function panics where
//! one is broken.

use crate::archive::staging::LockedDirectory;
use crate::archive::unpack::untar;
use crate::bundle::hash;
use crate::describe::version_in;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// The version that a dump's head names is one line of it.
pub fn dump_head(bytes: &[u8]) {
    if let Ok(Some(version)) = version_in(bytes) {
        assert!(!version.contains('\n') && version.len() <= 3 * bytes.len(), "{version:?}");
    }
}

/// An archive is unpacked below its partial bundle alone, each file with the checksum of what lies there, and
/// nothing stays of it that was not kept.
pub fn archive(bytes: &[u8]) {
    let outer = std::env::temp_dir().join(format!("unpack-{}", std::process::id()));
    let inner = outer.join("bundles");
    let root = LockedDirectory::prepare(&inner).unwrap_or_else(|error| panic!("{error:#}"));
    if let Ok(staging) = untar(bytes, &root) {
        let found = below(&staging.partial);
        for (path, digest) in staging.written.clone().sorted().iter() {
            let file = staging.partial.join(path);
            assert!(is_inside(path) && found.contains(&file), "{path:?}");
            assert_eq!(hash::file(&file, |_| {}).ok().as_ref(), Some(digest), "{path:?}");
        }
        let all = below(&outer).into_iter();
        let rest: Vec<_> = all.filter(|path| !path.starts_with(&staging.partial)).collect();
        assert_eq!(rest, [inner.clone(), inner.join(".lock")]);
    }
    assert_eq!(below(&outer), [inner.clone(), inner.join(".lock")]);
    drop(root);
    assert!(std::fs::remove_dir_all(&outer).is_ok());
}

fn is_inside(path: &OsStr) -> bool {
    let mut parts = Path::new(path).components();
    parts.clone().next().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(dir).min_depth(1).sort_by_file_name().into_iter();
    entries.filter_map(|entry| Some(entry.ok()?.into_path())).collect()
}
