//! `.restore/stopped-containers`: the containers that `stop` has stopped, an id a line. What ends
//! with 0 because it was stopped is no one-shot.

use anyhow::{Context, Result};
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

pub struct StoppedContainers {
    file: PathBuf,
}

impl StoppedContainers {
    pub fn of(deployment: &Path) -> Self {
        Self { file: deployment.join(".restore/stopped-containers") }
    }

    /// Their ids. A list that cannot be read is an empty one.
    pub fn ids(&self) -> HashSet<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap_or_default()
    }

    pub fn add(&self, ids: &[&str]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let write = || {
            std::fs::create_dir_all(self.file.parent().unwrap_or(Path::new(".")))?;
            let mut file = OpenOptions::new().append(true).create(true).open(&self.file)?;
            file.write_all(lines(ids.iter().copied()).as_bytes())
        };
        write().with_context(|| format!("writing {}", self.file.display()))
    }

    /// They run again: if one ends now, it ends by itself.
    pub fn remove(&self, ids: &[&str]) -> Result<()> {
        let text = self.text();
        let rest = lines(text.lines().filter(|id| !ids.contains(id)));
        let write = || {
            if rest.is_empty() {
                return std::fs::remove_file(&self.file);
            }
            let new = self.file.with_extension("new");
            std::fs::write(&new, &rest)?;
            std::fs::rename(&new, &self.file)
        };
        match write() {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("writing {}", self.file.display()))
            }
            _ => Ok(()),
        }
    }
}

fn lines<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    ids.map(|id| format!("{id}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_added_and_removed_and_an_empty_list_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let list = StoppedContainers::of(dir.path());
        assert!(list.ids().is_empty());
        list.remove(&["a"]).unwrap();
        list.add(&[]).unwrap();
        assert!(!dir.path().join(".restore").exists());
        list.add(&["a", "b"]).unwrap();
        list.add(&["ab"]).unwrap();
        list.remove(&["a"]).unwrap();
        assert_eq!(list.ids(), HashSet::from(["b".to_owned(), "ab".to_owned()]));
        list.remove(&["ab", "b", "c"]).unwrap();
        assert!(!list.file.exists());
    }
}
