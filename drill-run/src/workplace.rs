//! Where a drill works: a directory of its own below `DRILL_DIR`, which is removed at the end whatever happens.

use crate::{app, script, server};
use anyhow::{Context, Result};
use pipe_kit::cleanup::{self, Guard};
use pipe_kit::lock::{self, Lock};
use pipe_kit::{Stop, info, warning};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The beginning of the name of every drill's directory.
const PREFIX: &str = "drill-";
/// The private server's directory in that of a drill.
pub const SERVER: &str = "server";
/// The directory of the product's services in that of a drill.
pub const APP: &str = "app";
/// The directory of the operator's scripts in that of a drill.
pub const SCRIPT: &str = "script";
/// The file in the directory of a drill that is kept.
const KEPT: &str = "kept";
/// How often the removal of a directory is tried, and the pause between two tries: a program that is just ending may
/// still create a file.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// The directory of all drills, locked: one drill at a time.
pub struct Drills {
    /// Absolute.
    root: PathBuf,
    _lock: Lock,
}

impl Drills {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`Stop::refused`] if another drill runs, or others may enter the directory.
    pub fn lock(root: &Path) -> Result<Self> {
        let root = make_root(root)?;
        let lock = lock::take(&root.join("lock"), "another drill")?;
        Ok(Self { root, _lock: lock })
    }
}

/// The directory of this drill.
pub struct Workplace {
    /// Absolute.
    pub dir: PathBuf,
    guard: Option<Guard>,
}

impl Workplace {
    /// Removes what killed drills have left, and makes a directory for this one.
    ///
    /// # Errors
    /// If one of both cannot be done.
    pub fn open(drills: &Drills) -> Result<Self> {
        let root = &drills.root;
        remove_leftovers(root)?;
        let dir = root.join(format!("{PREFIX}{}", chrono::Utc::now().format("%Y%m%dT%H%M%S%6fZ")));
        let removed = dir.clone();
        // Before it is there, since a signal may come between the two.
        let guard = cleanup::on_failure(move || {
            if let Err(error) = remove_drill(&removed) {
                warning!("{error:#}; the next drill removes it");
            }
        });
        make(&dir)?;
        Ok(Self { dir, guard: Some(guard) })
    }

    /// An empty directory in it, which nobody else can enter.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn subdirectory(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        make(&dir)?;
        Ok(dir)
    }

    /// Removes the directory and all that is in it.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn remove(mut self) -> Result<()> {
        if let Some(guard) = self.guard.take() {
            guard.disarm();
        }
        remove_drill(&self.dir)
    }

    /// Keeps the directory, also from the next drills.
    ///
    /// # Errors
    /// If that cannot be noted there.
    pub fn keep(mut self) -> Result<()> {
        let mark = self.dir.join(KEPT);
        std::fs::write(&mark, "").with_context(|| format!("creating {}", mark.display()))?;
        if let Some(guard) = self.guard.take() {
            guard.disarm();
        }
        Ok(())
    }
}

fn make(dir: &Path) -> Result<()> {
    let made = DirBuilder::new().mode(0o700).create(dir);
    made.with_context(|| format!("creating {}", dir.display()))
}

/// The directory of all drills, which is ours alone: what is restored there is production's data.
fn make_root(root: &Path) -> Result<PathBuf> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(root);
    made.map_err(|error| {
        let root = root.display();
        Stop::refused(format!(
            "{root} cannot be created: {error}; nothing was done; set DRILL_DIR to another directory"
        ))
    })?;
    let found = root.metadata().with_context(|| format!("reading {}", root.display()))?;
    if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o077 != 0 {
        return Err(Stop::refused(format!(
            "{0} belongs to another user, or others may enter it, and a drill restores production's data there; nothing \
             was done; chmod 700 {0}, or set DRILL_DIR to another directory",
            root.display()
        ))
        .into());
    }
    root.canonicalize().with_context(|| format!("opening {}", root.display()))
}

/// Removes what killed drills have left. The caller holds the lock.
fn remove_leftovers(root: &Path) -> Result<()> {
    let failed = || format!("reading {}", root.display());
    for entry in std::fs::read_dir(root).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let path = entry.path();
        let is_directory = entry.file_type().with_context(failed)?.is_dir();
        if !(is_directory && is_drill(&entry.file_name().to_string_lossy())) {
            continue;
        }
        if path.join(KEPT).exists() {
            info!("{} was kept by a drill with --keep, and is left alone", path.display());
            continue;
        }
        remove_drill(&path).with_context(|| {
            format!("removing {}, which a killed drill has left; nothing was done", path.display())
        })?;
        info!("removed {}, which a killed drill had left", path.display());
    }
    Ok(())
}

/// Whether it is the name of a drill's directory.
fn is_drill(name: &str) -> bool {
    let Some(time) = name.strip_prefix(PREFIX) else { return false };
    let fits = |(at, byte): (usize, u8)| match at {
        8 => byte == b'T',
        21 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    time.len() == 22 && time.bytes().enumerate().all(fits)
}

/// Removes the directory of a drill, once nothing runs any more that it alone names.
fn remove_drill(dir: &Path) -> Result<()> {
    let is_there = |dir: &Path| dir.symlink_metadata().is_ok_and(|found| found.is_dir());
    let (of_server, of_app) = (dir.join(SERVER), dir.join(APP));
    let ended = script::mark(&dir.join(SCRIPT)).end_all();
    let stopped = if is_there(&of_server) { server::remove_leftover(&of_server) } else { Ok(()) };
    let down = if is_there(&of_app) { app::remove_leftover(&of_app) } else { Ok(()) };
    ended.and(stopped).and(down).and_then(|()| remove_tree(dir))
}

/// Removes a directory with all that is in it, following no link.
fn remove_tree(dir: &Path) -> Result<()> {
    for _ in 1..TRIES {
        match std::fs::remove_dir_all(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !dir.exists() => return Ok(()),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    std::fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A child that another test has just forked holds the lock until it becomes its program.
    fn locked(root: &Path) -> Drills {
        let again = || {
            std::thread::sleep(Duration::from_millis(20));
            Drills::lock(root).ok()
        };
        (0..100).find_map(|_| again()).unwrap()
    }

    #[test]
    fn one_drill_at_a_time_and_what_it_leaves_is_removed_by_the_next() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("a/drills");
        let drills = Drills::lock(&root).unwrap();
        let first = Workplace::open(&drills).unwrap();
        assert_eq!(root.metadata().unwrap().mode() & 0o777, 0o700);
        assert_eq!(first.dir.metadata().unwrap().mode() & 0o777, 0o700);
        let error = Drills::lock(&root).err().unwrap();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused);
        assert!(error.to_string().starts_with("another drill is running"), "{error}");
        first.subdirectory("config").unwrap();
        std::fs::write(first.dir.join("config/x"), "x").unwrap();
        first.remove().unwrap();
        assert!(Drills::lock(&root).is_err());
        drop(drills);
        let drills = locked(&root);
        let leftover = root.join("drill-20260421T020000000000Z");
        std::fs::create_dir(&leftover).unwrap();
        std::fs::write(root.join("other"), "").unwrap();
        // Neither of these is a drill's.
        std::fs::create_dir(root.join("drill-notes")).unwrap();
        std::os::unix::fs::symlink(parent.path(), root.join("drill-20260421T020000000001Z"))
            .unwrap();
        Workplace::open(&drills).unwrap().keep().unwrap();
        assert!(!leftover.exists());
        // The one that was kept, the lock, and what is not a drill's.
        Workplace::open(&drills).unwrap().remove().unwrap();
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 5);
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let error = Drills::lock(root.path()).err().unwrap();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        std::fs::write(root.path().join("file"), "").unwrap();
        let error = Drills::lock(&root.path().join("file/drills")).err().unwrap();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused);
    }
}
