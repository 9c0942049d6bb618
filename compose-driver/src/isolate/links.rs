//! Compose files that name others: Compose looks for them in the drill's directory.

use anyhow::{Context, Result};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Links in a directory, gone when dropped.
pub struct Links(Vec<PathBuf>);

impl Drop for Links {
    fn drop(&mut self) {
        for link in &self.0 {
            let _ = std::fs::remove_file(link);
        }
    }
}

/// Links to the YAML files of one directory in another, where it has no such name.
///
/// # Errors
/// If a directory cannot be read or written.
pub fn of_files(from: &Path, to: &Path) -> Result<Links> {
    let mut links = Links(Vec::new());
    let entries = std::fs::read_dir(from).with_context(|| format!("reading {}", from.display()))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_yaml = path.extension().is_some_and(|it| it == "yml" || it == "yaml");
        let Some(name) = path.file_name().filter(|_| is_yaml && path.is_file()) else { continue };
        let link = to.join(name);
        if link.symlink_metadata().is_err() {
            symlink(&path, &link).with_context(|| format!("creating {}", link.display()))?;
            links.0.push(link);
        }
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yaml_files_are_linked_and_only_for_a_while() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["a.yml", "b.yaml", ".env", "own.yml"] {
            std::fs::write(from.path().join(name), "theirs").unwrap();
        }
        std::fs::create_dir(from.path().join("d.yml")).unwrap();
        std::fs::write(to.path().join("own.yml"), "ours").unwrap();
        let names = || {
            let entries = std::fs::read_dir(to.path()).unwrap().flatten();
            let mut names: Vec<_> =
                entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let links = of_files(from.path(), to.path()).unwrap();
        assert_eq!(names(), ["a.yml", "b.yaml", "own.yml"]);
        assert_eq!(std::fs::read_to_string(to.path().join("own.yml")).unwrap(), "ours");
        drop(links);
        assert_eq!(names(), ["own.yml"]);
    }
}
