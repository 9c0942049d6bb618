//! Removing a bundle so that no half of it ever has a finished name.

use anyhow::{Context, Result, ensure};
use chrono::{NaiveDateTime, Timelike};
use pipe_kit::atomic::sync_directory;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn leaving(root: &Path, name: &str) -> PathBuf {
    root.join(format!(".{name}.removing"))
}

/// Removes a bundle: away from its name first, durably, then its files, links never followed.
///
/// # Errors
/// If it is not a real directory, or not all of it could be removed; the error says what is left.
pub fn remove(root: &Path, name: &str) -> Result<()> {
    let path = root.join(name);
    let kind =
        fs::symlink_metadata(&path).with_context(|| format!("looking at {}", path.display()))?;
    ensure!(kind.is_dir(), "{} is not a directory", path.display());
    let leaving = leaving(root, name);
    rename(&path, &leaving).with_context(|| format!("renaming {}", path.display()))?;
    sync_directory(root)?;
    finish(root, name)
}

/// Removes what a cut-off removal of this bundle left, and the marks that belonged to it.
///
/// # Errors
/// If not all of it could be removed.
pub fn finish(root: &Path, name: &str) -> Result<()> {
    let leaving = leaving(root, name);
    fs::remove_dir_all(&leaving)
        .with_context(|| format!("removing {}; the next run goes on with it", leaving.display()))?;
    // A bundle of that name that is there again has its own marks.
    if fs::symlink_metadata(root.join(name)).is_err() {
        for kind in ["damaged", "shrunk"] {
            let mark = root.join(format!(".{name}.{kind}"));
            match fs::remove_file(&mark) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(e).with_context(|| format!("removing {}", mark.display()));
                }
                _ => {}
            }
        }
    }
    sync_directory(root)
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Without the flag a plain rename still takes the place of nothing but an empty directory.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(from, to),
        other => Ok(other?),
    }
}

/// The bundles whose removal was cut off, sorted.
///
/// # Errors
/// If the root cannot be read.
pub fn leftovers(root: &Path) -> Result<Vec<String>> {
    let failed = || format!("reading {}", root.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(root).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        if entry.file_type().with_context(failed)?.is_dir()
            && let Some(name) = entry.file_name().to_str().and_then(left_name)
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The bundle that a name like `.NAME.removing` was.
pub(crate) fn left_name(name: &str) -> Option<&str> {
    let bundle = name.strip_prefix('.')?.strip_suffix(".removing")?;
    let format = "piprio_%Y%m%dT%H%M%SZ";
    let taken = NaiveDateTime::parse_from_str(bundle, format).ok()?;
    // A leap second, which is in no bundle's name, prints back too.
    (taken.format(format).to_string() == bundle && taken.nanosecond() == 0).then_some(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const NAME: &str = "piprio_20260421T020000Z";

    #[test]
    fn a_bundle_goes_with_its_marks_and_nothing_that_it_links_to() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join(NAME).join("minio/a")).unwrap();
        fs::create_dir(root.join("precious")).unwrap();
        fs::write(root.join("precious/file"), "x").unwrap();
        symlink(root.join("precious"), root.join(NAME).join("minio/link")).unwrap();
        for kind in ["damaged", "shrunk"] {
            fs::write(root.join(format!(".{NAME}.{kind}")), "x").unwrap();
        }
        remove(root, NAME).unwrap();
        assert_eq!(fs::read_dir(root).unwrap().count(), 1);
        assert!(root.join("precious/file").exists());
    }

    #[test]
    fn only_a_real_directory_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("elsewhere")).unwrap();
        symlink("elsewhere", root.join(NAME)).unwrap();
        assert!(remove(root, NAME).is_err());
        assert!(root.join(NAME).exists() && root.join("elsewhere").exists());
    }

    #[test]
    fn a_cut_off_removal_is_known_by_its_name() {
        assert_eq!(left_name(".piprio_20260421T020000Z.removing"), Some(NAME));
        for name in [
            "piprio_20260421T020000Z.removing",
            ".piprio_20260421T020000Z.partial",
            ".piprio_20260230T020000Z.removing",
            ".piprio_20240229T235960Z.removing",
            ".other.removing",
            "..removing",
        ] {
            assert_eq!(left_name(name), None, "{name}");
        }
    }
}
