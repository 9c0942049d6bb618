//! A root on a filesystem of its own. Where it was mounted is recorded in `DEPLOY/.restore/roots.json`, so that a run
//! that finds nothing mounted there is refused, and does not fill the disk below.

use crate::settings::Settings;
use anyhow::{Context, Result};
use pipe_kit::atomic::{AtomicFile, directory_of, sync_directory};
use pipe_kit::mount::{existing, is_mount_point, mount_point};
use pipe_kit::tool::Tool;
use pipe_kit::{Stop, info};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where the filesystem of each root is mounted, by the root's path as it was given.
type Mounts = BTreeMap<PathBuf, PathBuf>;

fn file(settings: &Settings) -> PathBuf {
    settings.state_dir().join("roots.json")
}

/// The record; one that cannot be read counts as none, and is written again.
fn read(settings: &Settings) -> Mounts {
    let text = std::fs::read(file(settings)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Refuses a root whose filesystem is not mounted. Creates nothing.
///
/// # Errors
/// [`Stop::refused`] if the record names a place where nothing is mounted now, and the root is on the disk below it.
pub fn refuse_if_unmounted(settings: &Settings) -> Result<()> {
    let root = absolute(&settings.root)?;
    let Some(mounted) = read(settings).remove(&root) else { return Ok(()) };
    if is_mount_point(&mounted) || !mounted.starts_with(mount_point(&existing(&root))) {
        return Ok(());
    }
    let (root, mounted) = (root.display(), mounted.display());
    if settings.accept_root {
        info!("{root} is accepted on the disk below {mounted}, because of --accept-root");
        return Ok(());
    }
    let scripts = std::env::var_os("PIPRIO_SCRIPTS").map(PathBuf::from);
    let script = scripts.unwrap_or_else(|| settings.deploy.join("scripts")).join("backup.sh");
    let accept = Tool::new("bash").arg(script).arg("--accept-root").arg(&settings.root).to_shell();
    Err(Stop::refused(format!(
        "{root} was on a filesystem that was mounted at {mounted}, and nothing is mounted there now; no bundle was \
         made; mount it (mount {mounted}), then run this again; if bundles shall be kept on the disk below from now \
         on: {accept}"
    ))
    .into())
}

/// Records where the root's filesystem is mounted, if that is not the deployment's filesystem.
///
/// # Errors
/// If the record cannot be written.
pub fn record(settings: &Settings) -> Result<()> {
    let root = absolute(&settings.root)?;
    let mut mounts = read(settings);
    let before = mounts.clone();
    let mounted = mount_point(&existing(&root));
    if mounted == mount_point(&existing(&settings.deploy)) {
        mounts.remove(&root);
    } else {
        mounts.insert(root, mounted);
    }
    if mounts == before {
        return Ok(());
    }
    let path = file(settings);
    let mut file = AtomicFile::create(&path)?;
    file.write_all(&serde_json::to_vec(&mounts)?)
        .with_context(|| format!("writing {}", path.display()))?;
    file.commit()?;
    sync_directory(directory_of(&path))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("finding {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipe_kit::{Exit, status};

    /// A deployment whose root is recorded as mounted at a place.
    fn recorded(dir: &Path, root: &Path, mounted: &Path) -> Settings {
        let settings =
            Settings { deploy: dir.join("deploy"), root: root.to_owned(), ..Settings::default() };
        std::fs::create_dir_all(settings.state_dir()).unwrap();
        let mounts = Mounts::from([(root.to_owned(), mounted.to_owned())]);
        std::fs::write(file(&settings), serde_json::to_vec(&mounts).unwrap()).unwrap();
        settings
    }

    #[test]
    fn a_root_whose_filesystem_is_not_mounted_is_refused_until_it_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let disk = dir.join("disk");
        for root in [disk.join("backups"), disk.clone()] {
            // Whether the place of the mount is there makes no difference.
            for made in [false, true] {
                let mut settings = recorded(&dir, &root, &disk);
                if made {
                    std::fs::create_dir_all(&root).unwrap();
                }
                let error = refuse_if_unmounted(&settings).unwrap_err();
                assert_eq!(status::of(&error), Exit::Refused);
                let accept = format!("backup.sh --accept-root {}", root.display());
                assert!(error.to_string().contains(&accept), "{error}");
                assert_eq!(root.exists(), made);
                settings.accept_root = true;
                refuse_if_unmounted(&settings).unwrap();
                record(&settings).unwrap();
                settings.accept_root = false;
                refuse_if_unmounted(&settings).unwrap();
            }
            std::fs::remove_dir_all(&disk).unwrap();
        }
    }

    #[test]
    fn a_root_that_was_moved_to_another_filesystem_is_not_on_the_disk_below() {
        let dir = tempfile::tempdir().unwrap();
        let settings = recorded(dir.path(), Path::new("/proc/self"), &dir.path().join("disk"));
        refuse_if_unmounted(&settings).unwrap();
    }

    #[test]
    fn only_a_filesystem_other_than_the_deployments_is_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("deploy/backups");
        let mut settings = recorded(dir.path(), &below, Path::new("/gone"));
        record(&settings).unwrap();
        assert_eq!(read(&settings), Mounts::new());
        settings.root = "/proc/self".into();
        record(&settings).unwrap();
        assert_eq!(read(&settings)[Path::new("/proc/self")], Path::new("/proc"));
        refuse_if_unmounted(&settings).unwrap();
    }
}
