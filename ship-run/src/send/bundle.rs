//! The bundles to be sent.

use crate::marks::is_alarm_on;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use bundle_format::BundleName;
use bundle_format::layout::{MANIFEST, SEAL};
use bundle_format::manifest::Parsed;
use bundle_format::report::Listing;
use pipe_kit::Stop;
use pipe_kit::text::hex;
use pipe_kit::tool::Tool;
use sha2::{Digest, Sha256};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A bundle on this host, locked together with other readers: retention keeps it.
pub struct Bundle {
    pub path: PathBuf,
    pub name: BundleName,
    /// `unknown`, if its manifest has none.
    pub domain: String,
    /// The SHA-256 of its seal, hex; none if it has no seal.
    pub seal: Option<String>,
    /// The size of its files by its manifest, as far as it has them.
    pub bytes: u64,
    /// It, or an older one of its deployment, holds far less than the one before it.
    pub is_shrunk: bool,
    _lock: File,
}

impl Bundle {
    /// Reads what identifies a bundle, and locks it.
    ///
    /// # Errors
    /// [`Stop::usage`] if the directory is not named as a bundle; [`Stop::refused`] if it is being removed; if it
    /// cannot be read.
    pub fn at(path: &Path) -> Result<Self> {
        let path = path.canonicalize().with_context(|| format!("opening {}", path.display()))?;
        let name = BundleName::parse(path.file_name().unwrap_or_default()).ok_or_else(|| {
            Stop::usage(format!("{} is not named piprio_YYYYMMDDTHHMMSSZ", path.display()))
        })?;
        let lock = lock(&path, PATIENCE)?;
        let read = |file: &str| match std::fs::read(path.join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("reading {}", path.join(file).display()))
            }
        };
        let manifest = read(MANIFEST)?.unwrap_or_default();
        let Parsed { domain, database, objects, config, .. } =
            Parsed::read(&String::from_utf8_lossy(&manifest));
        let objects = objects.flatten().map(|extent| extent.bytes);
        let bytes = [database, objects, config].into_iter().flatten().sum();
        let seal = read(SEAL)?.map(|seal| hex(&Sha256::digest(seal)));
        let domain = domain.unwrap_or_else(|| "unknown".into());
        let root = path.parent().context("a bundle cannot be the root directory")?;
        let is_shrunk = is_alarm_on(root, &name, Some(&domain));
        Ok(Self { name, domain, seal, bytes, is_shrunk, path, _lock: lock })
    }

    /// The same; none if it was removed since it was listed.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn if_there(path: &Path) -> Result<Option<Self>> {
        match Self::at(path) {
            Err(_) if is_gone(path) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Whether it was removed by what respects no lock.
    pub fn is_gone(&self) -> bool {
        is_gone(&self.path)
    }
}

fn is_gone(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// How long another program may hold a bundle's lock: to see whether it may be removed takes a moment.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Locks a bundle's directory together with other readers. A filesystem without such locks is no reason to refuse.
fn lock(dir: &Path, patience: Duration) -> Result<File> {
    let opened = File::open(dir).with_context(|| format!("opening {}", dir.display()))?;
    let begun = Instant::now();
    loop {
        match opened.try_lock_shared() {
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(opened),
            Err(TryLockError::WouldBlock) if is_gone(dir) || begun.elapsed() > patience => {
                let what =
                    format!("{} is locked by what removes it, or checks that", dir.display());
                return Err(Stop::refused(what).into());
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
}

/// The path of the newest intact bundle of the deployment.
///
/// # Errors
/// If there is none.
pub fn newest(settings: &Settings) -> Result<Vec<PathBuf>> {
    let list =
        Tool::new("bundle-manifest").args(["list", "--quiet", "--newest", "--intact", "--paths"]);
    let list = list.args(domain(settings)).arg(&settings.root);
    let path = list.capture()?;
    match path.trim_end() {
        "" => bail!("{} has no intact bundle; make one: backup.sh", settings.root.display()),
        path => Ok(vec![path.into()]),
    }
}

/// The paths of all intact bundles of the deployment, the newest first.
pub fn all(settings: &Settings) -> Result<Vec<PathBuf>> {
    let list = Tool::new("bundle-manifest").args(["list", "--quiet", "--intact", "--json"]);
    let list: Listing = list.args(domain(settings)).arg(&settings.root).json()?;
    Ok(list.bundles.into_iter().map(|bundle| bundle.path.into()).collect())
}

fn domain(settings: &Settings) -> impl Iterator<Item = &str> {
    settings.domain.iter().flat_map(|domain| ["--domain", domain])
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipe_kit::{Exit, status};

    #[test]
    fn a_bundle_that_is_sent_cannot_be_locked_by_who_would_remove_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("piprio_20260421T020000Z");
        std::fs::create_dir(&path).unwrap();
        let bundle = Bundle::at(&path).unwrap();
        let remover = File::open(&path).unwrap();
        assert!(remover.try_lock().is_err());
        drop(bundle);
        remover.try_lock().unwrap();
        let error = lock(&path, Duration::ZERO).err().unwrap();
        assert_eq!(status::of(&error), Exit::Refused);
        drop(remover);
        assert!(Bundle::if_there(&path).unwrap().is_some_and(|bundle| !bundle.is_gone()));
        std::fs::remove_dir(&path).unwrap();
        assert!(Bundle::if_there(&path).unwrap().is_none());
    }
}
