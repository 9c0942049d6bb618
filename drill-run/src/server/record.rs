//! What a drill's server has in the drill's directory, and the note of what it has elsewhere.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const NAME: &str = "server.json";
const NEW: &str = "server.json.new";

/// What there may be outside of the drill's directory. It is written before that is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The directory with a short name of the socket's; see [`super::socket`].
    pub short: Option<PathBuf>,
    /// Whether the engine has a container and a volume of it; see [`super::container`].
    #[serde(default)]
    pub container: bool,
}

/// How the server of a drill's directory is known: the label of its container and volume, and a setting without
/// effect, which the server's command line shows.
pub fn mark(dir: &Path) -> String {
    format!("piprio.drill={}", dir.display())
}

/// The data directory. It is the socket's too: it is the one place that the server can write to.
pub fn data(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// What the server writes to standard error.
pub fn log(dir: &Path) -> PathBuf {
    dir.join("server.log")
}

/// Held by each client of the engine that creates something; see [`super::engine`].
pub fn lock(dir: &Path) -> PathBuf {
    dir.join("server.lock")
}

/// Creates a file of mode 0600, which must not be there.
///
/// # Errors
/// If it cannot be created.
pub fn create(path: &Path) -> Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.with_context(|| format!("creating {}", path.display()))
}

impl Record {
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let new = dir.join(NEW);
        remove_file(&new)?;
        let written = create(&new)?.write_all(&serde_json::to_vec(self)?);
        let named = written.and_then(|()| std::fs::rename(&new, dir.join(NAME)));
        named.with_context(|| format!("writing {}", new.display()))
    }

    /// The one of a directory, or an empty one: then nothing was begun.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(NAME);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            text => text.with_context(|| format!("reading {}", path.display()))?,
        };
        serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
    }
}

/// Removes everything of a server in a directory, the record last.
///
/// # Errors
/// If something cannot be removed.
pub fn remove_files(dir: &Path) -> Result<()> {
    let data = data(dir);
    match std::fs::remove_dir_all(&data) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("removing {}", data.display()));
        }
        _ => {}
    }
    let files = [log(dir), lock(dir), dir.join(NEW), dir.join(NAME)];
    files.iter().try_for_each(|path| remove_file(path))
}

/// Removes a file, if it is there.
///
/// # Errors
/// If it cannot be removed.
pub fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_replaced_as_a_whole_and_goes_with_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert_eq!(Record::read(dir).unwrap(), Record::default());
        Record::default().write(dir).unwrap();
        std::fs::write(dir.join(NEW), "half").unwrap();
        let record = Record { short: Some("/tmp/x".into()), container: true };
        record.write(dir).unwrap();
        assert_eq!(Record::read(dir).unwrap(), record);
        std::fs::create_dir(data(dir)).unwrap();
        drop(create(&log(dir)).unwrap());
        assert!(create(&log(dir)).is_err());
        remove_files(dir).unwrap();
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0);
        remove_files(dir).unwrap();
    }
}
