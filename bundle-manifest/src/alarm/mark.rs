//! The mark beside a bundle that holds far less than the one before it. While there is one, retention removes
//! nothing.

use crate::alarm::losses::Loss;
use crate::bundle::{domain, tree};
use anyhow::{Context, Result};
use bundle_format::domain::differ;
use bundle_format::name::{Beside, BundleName};
use pipe_kit::atomic::{self, AtomicFile};
use pipe_kit::text;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What the mark records of a bundle that shrank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The bundle that it was compared with.
    pub before: String,
    /// The deployment of both.
    pub domain: Option<String>,
    /// What it lacks, for people.
    pub summary: String,
    /// What it lacks.
    pub lost: Vec<Loss>,
}

impl Mark {
    /// What the bundle lacks, as the end of a sentence.
    pub fn phrase(&self) -> String {
        let (before, summary) = (text::one_line(&self.before), text::one_line(&self.summary));
        format!("holds far less than {before}: {summary}")
    }
}

/// `ROOT/.NAME.shrunk`; only finished bundles have one.
fn path(bundle: &Path) -> Option<PathBuf> {
    let name = BundleName::parse(tree::name(bundle))?;
    Some(bundle.with_file_name(name.beside(Beside::Shrunk)))
}

/// A bundle's mark. One that cannot be read counts all the same: somebody must look at it.
pub fn read(bundle: &Path) -> Option<Mark> {
    let path = path(bundle)?;
    // Reading a named pipe in its place would block.
    let is_file = path.symlink_metadata().ok()?.is_file();
    let content = if is_file { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
    let unreadable = || Mark {
        before: "the bundle before it".to_owned(),
        domain: domain::of(bundle),
        summary: format!("{} cannot be read", path.display()),
        lost: Vec::new(),
    };
    Some(serde_json::from_slice(&content).unwrap_or_else(|_| unreadable()))
}

/// The marked bundles of a deployment, among these.
pub fn among<'a>(
    root: &Path,
    names: impl Iterator<Item = &'a BundleName>,
    domain: Option<&str>,
) -> Vec<(BundleName, Mark)> {
    names
        .filter_map(|name| Some((name.clone(), read(&root.join(name.as_str()))?)))
        .filter(|(_, mark)| !differ(mark.domain.as_deref(), domain))
        .collect()
}

/// Marks a bundle.
pub fn set(bundle: &Path, mark: &Mark) -> Result<()> {
    let path = path(bundle).context("only a finished bundle can be marked")?;
    let mut file = AtomicFile::create(&path)?;
    file.write_all(serde_json::to_string(mark)?.as_bytes())
        .with_context(|| format!("writing {}", path.display()))?;
    file.commit()?;
    atomic::sync_directory(atomic::directory_of(&path))
}

/// Removes a bundle's mark, where there is one.
pub fn clear(bundle: &Path) -> Result<()> {
    let Some(path) = path(bundle) else { return Ok(()) };
    tree::remove_file_if_there(&path).with_context(|| format!("removing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn a_mark_is_read_back_and_one_that_cannot_be_read_counts() {
        let root = tempfile::tempdir().unwrap();
        let name = BundleName::parse(OsStr::new("piprio_20260421T020000Z")).unwrap();
        let bundle = root.path().join(name.as_str());
        std::fs::create_dir(&bundle).unwrap();
        assert_eq!(read(&bundle), None);
        let mark = Mark {
            before: "piprio_20260420T020000Z".to_owned(),
            domain: Some("a.example.org".to_owned()),
            summary: "1 table empty (a.t)".to_owned(),
            lost: vec![Loss::Table { schema: "a".to_owned(), table: "t".to_owned(), rows: 3 }],
        };
        set(&bundle, &mark).unwrap();
        assert_eq!(read(&bundle), Some(mark.clone()));
        assert_eq!(
            mark.phrase(),
            "holds far less than piprio_20260420T020000Z: 1 table empty (a.t)"
        );
        let marked = |domain| among(root.path(), std::iter::once(&name), domain).len();
        assert_eq!([marked(Some("a.example.org")), marked(None), marked(Some("b"))], [1, 1, 0]);
        std::fs::write(path(&bundle).unwrap(), "{").unwrap();
        assert!(read(&bundle).unwrap().phrase().contains("cannot be read"));
        clear(&bundle).unwrap();
        clear(&bundle).unwrap();
        assert_eq!(read(&bundle), None);
    }
}
