//! Where the disk of a directory is mounted, `DEPLOY/.restore/ship/mounts.json`: a directory whose disk is not
//! mounted must not take copies, which would fill the disk below.

use anyhow::{Context, Result};
use pipe_kit::atomic::{self, AtomicFile};
use pipe_kit::mount::{existing, is_mount_point, mount_point};
use pipe_kit::warning;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The place of each mount, by the directory.
pub struct Mounts {
    file: PathBuf,
    deploy: PathBuf,
    places: BTreeMap<PathBuf, PathBuf>,
}

/// A place where a filesystem was mounted, and the record of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    pub place: PathBuf,
    pub record: PathBuf,
}

impl Mounts {
    /// Reads the record. One that cannot be read counts as none, and is written again.
    pub fn read(deploy: &Path) -> Self {
        let file = deploy.join(".restore/ship/mounts.json");
        let text = std::fs::read(&file).unwrap_or_default();
        let places = serde_json::from_slice(&text).unwrap_or_default();
        Self { file, deploy: deploy.to_owned(), places }
    }

    /// What is recorded of a directory.
    pub fn of(&self, directory: &Path) -> Option<Mounted> {
        let place = self.places.get(directory)?.clone();
        Some(Mounted { place, record: self.file.clone() })
    }

    /// Records where copies have gone, if that is not the deployment's filesystem.
    pub fn note<'a>(mut self, directories: impl Iterator<Item = &'a Path>) {
        let before = self.places.clone();
        for path in directories {
            let mounted = mount_point(&existing(path));
            if mounted == mount_point(&existing(&self.deploy)) {
                self.places.remove(path);
            } else {
                self.places.insert(path.to_owned(), mounted);
            }
        }
        if self.places != before
            && let Err(error) = self.write()
        {
            warning!("where the disks of copies are mounted is not recorded: {error:#}");
        }
    }

    fn write(&self) -> Result<()> {
        let mut file = AtomicFile::create(&self.file)?;
        file.write_all(&serde_json::to_vec(&self.places)?)
            .with_context(|| format!("writing {}", self.file.display()))?;
        file.commit()?;
        atomic::sync_directory(atomic::directory_of(&self.file))
    }
}

impl Mounted {
    /// Whether nothing is mounted there now, and a directory is on the disk below.
    pub fn is_missing(&self, directory: &Path) -> bool {
        let Self { place, .. } = self;
        !is_mount_point(place) && place.starts_with(mount_point(&existing(directory)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_whose_disk_is_not_mounted_is_on_the_disk_below() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let mounted = |place: &Path| Mounted { place: place.to_owned(), record: "r".into() };
        assert!(mounted(&dir.join("disk")).is_missing(&dir.join("disk/copies")));
        // Another filesystem is there now; or the directory has moved to one.
        assert!(!mounted(Path::new("/proc")).is_missing(Path::new("/proc/self")));
        assert!(!mounted(&dir.join("disk")).is_missing(Path::new("/proc/self")));
    }

    #[test]
    fn only_a_filesystem_other_than_the_deployments_is_recorded() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join(".restore/ship")).unwrap();
        let directories = [dir.path(), Path::new("/proc/self")];
        Mounts::read(dir.path()).note(directories.into_iter());
        let mounts = Mounts::read(dir.path());
        assert_eq!(mounts.of(dir.path()), None);
        assert_eq!(mounts.of(Path::new("/proc/self")).unwrap().place, Path::new("/proc"));
    }
}
