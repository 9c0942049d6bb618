//! The drill's project: noted before anything of it is there, so that what a killed drill left is found.

use super::program::Program;
use crate::processes::Variable;
use anyhow::{Context, Result, anyhow};
use pipe_kit::atomic::AtomicFile;
use pipe_kit::cleanup::{self, Guard};
use pipe_kit::warning;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The note, in the drill's directory.
const NOTE: &str = "project.json";
/// The deployment's directory in it.
pub const DEPLOY: &str = "deploy";

/// What there is to remove, and by which driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    project: String,
    driver: PathBuf,
}

/// A project that is removed when dropped, and on a signal.
pub struct Project {
    dir: PathBuf,
    note: Note,
    guard: Guard,
}

impl Project {
    /// Notes it in the drill's directory. From here on it is removed, whatever happens.
    ///
    /// # Errors
    /// If it cannot be noted.
    pub fn begin(dir: &Path, project: &str, driver: &Path) -> Result<Self> {
        let note = Note { project: project.to_owned(), driver: driver.to_owned() };
        let path = dir.join(NOTE);
        let mut file = AtomicFile::create(&path)?;
        file.write_all(&serde_json::to_vec(&note)?)
            .with_context(|| format!("writing {}", path.display()))?;
        file.commit()?;
        let (own, dir) = (dir.to_owned(), dir.to_owned());
        let removed = note.clone();
        let guard = cleanup::on_failure(move || {
            if let Err(error) = removed.remove(&own) {
                warning!("{error:#}; the next drill removes what is left");
            }
        });
        Ok(Self { dir, note, guard })
    }

    /// Removes it, and what lies in the directory.
    ///
    /// # Errors
    /// If something is left.
    pub fn remove(self) -> Result<()> {
        let Self { dir, note, guard } = self;
        let removed = note.remove(&dir);
        // Tried once more by the guard otherwise.
        if removed.is_ok() {
            guard.disarm();
        }
        removed
    }

    /// Leaves it as it is, and gives the command that removes it.
    pub fn keep(self) -> String {
        self.guard.disarm();
        self.note.destroy(&self.dir).to_shell()
    }
}

impl Note {
    fn destroy(&self, dir: &Path) -> Program {
        // The toolkit may lie elsewhere by now.
        let present = std::env::var_os("PIPRIO_DRIVER").filter(|_| !self.driver.is_file());
        let driver = present.map_or_else(|| self.driver.clone(), PathBuf::from);
        let program = Program::new(driver).args(["destroy", "--project", &self.project]);
        program.variable("PIPRIO_DEPLOY", dir.join(DEPLOY))
    }

    fn remove(&self, dir: &Path) -> Result<()> {
        // A restore that is ended brings services back first, which a drill has no use for, and which would create anew
        // what is being removed.
        Variable::new("PIPRIO_DEPLOY", dir.join(DEPLOY)).end_all()?;
        let tool = self.destroy(dir);
        tool.capture().with_context(|| {
            format!("the project {} is not removed; to do that: {}", self.project, tool.to_shell())
        })?;
        empty(dir)
    }
}

/// Removes what is in a directory, the note last: without it, nobody knows the project.
fn empty(dir: &Path) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    let note = dir.join(NOTE);
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| *path != note) {
        let is_dir = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        let removed = match is_dir {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
        removed.with_context(|| format!("removing {}", path.display()))?;
    }
    match std::fs::remove_file(&note) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", note.display()))
        }
        _ => Ok(()),
    }
}

/// Removes what a killed drill has left: the project that is noted in its directory, and all that is in it.
///
/// # Errors
/// If something is left.
pub fn remove_leftover(dir: &Path) -> Result<()> {
    let path = dir.join(NOTE);
    let bytes = match std::fs::read(&path) {
        // Killed before it began, or when all was gone.
        Err(error) if error.kind() == ErrorKind::NotFound => return empty(dir),
        read => read.with_context(|| format!("reading {}", path.display()))?,
    };
    let note: Note = serde_json::from_slice(&bytes)
        .map_err(|_| anyhow!("{} names no project", path.display()))?;
    note.remove(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A directory, and a driver that notes what it is asked and ends with a status.
    fn driver(status: u8) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("app/deploy/secrets")).unwrap();
        let driver = dir.path().join("driver");
        let asked = dir.path().join("asked");
        let script = format!(
            "#!/bin/sh\necho \"$*|$PIPRIO_DEPLOY\" >> '{}'\nexit {status}\n",
            asked.display()
        );
        std::fs::write(&driver, script).unwrap();
        std::fs::set_permissions(&driver, PermissionsExt::from_mode(0o755)).unwrap();
        (dir, driver)
    }

    fn asked(dir: &Path) -> String {
        let text = std::fs::read_to_string(dir.join("asked")).unwrap_or_default();
        text.replace(&dir.display().to_string(), "@")
    }

    const DESTROYED: &str = "destroy --project piprio-drill-1|@/app/deploy\n";

    #[test]
    fn a_project_is_removed_when_it_is_dropped_and_once() {
        let (dir, driver) = driver(0);
        let app = dir.path().join("app");
        drop(Project::begin(&app, "piprio-drill-1", &driver).unwrap());
        assert_eq!(asked(dir.path()), DESTROYED);
        assert_eq!(std::fs::read_dir(&app).unwrap().count(), 0);
        Project::begin(&app, "piprio-drill-1", &driver).unwrap().remove().unwrap();
        assert_eq!(asked(dir.path()), DESTROYED.repeat(2));
        // Nothing is noted any more.
        remove_leftover(&app).unwrap();
        assert_eq!(asked(dir.path()), DESTROYED.repeat(2));
    }

    #[test]
    fn what_cannot_be_removed_stays_known() {
        let (dir, driver) = driver(1);
        let app = dir.path().join("app");
        let error = Project::begin(&app, "piprio-drill-1", &driver).unwrap().remove().unwrap_err();
        assert!(format!("{error:#}").contains("destroy --project piprio-drill-1"), "{error:#}");
        assert!(app.join(NOTE).exists() && app.join("deploy").exists());
        assert!(remove_leftover(&app).is_err());
        std::fs::write(&driver, "#!/bin/sh\n").unwrap();
        remove_leftover(&app).unwrap();
        assert_eq!(std::fs::read_dir(&app).unwrap().count(), 0);
    }

    #[test]
    fn one_that_is_kept_stays_and_has_a_command() {
        let (dir, driver) = driver(0);
        let app = dir.path().join("app");
        let command = Project::begin(&app, "piprio-drill-1", &driver).unwrap().keep();
        assert!(command.starts_with("PIPRIO_DEPLOY=") && command.contains("destroy --project"));
        assert_eq!(asked(dir.path()), "");
        assert!(app.join(NOTE).exists());
    }
}
