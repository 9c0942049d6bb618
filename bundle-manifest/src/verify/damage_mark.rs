//! The mark beside a bundle that a full verify found damaged, so that no quick check trusts it.

use crate::bundle::{domain, tree};
use anyhow::{Context, Result};
use bundle_format::domain::differ;
use bundle_format::name::{Beside, BundleName};
use bundle_format::report::{DamagedBundle, Problem};
use pipe_kit::atomic::{self, AtomicFile};
use pipe_kit::text;
use std::io::Write;
use std::path::{Path, PathBuf};

/// `ROOT/.NAME.damaged`; only finished bundles have one.
fn path(bundle: &Path) -> Option<PathBuf> {
    let name = BundleName::parse(tree::name(bundle))?;
    Some(bundle.parent()?.join(name.beside(Beside::Damaged)))
}

/// What a full verify found, where it found damage.
pub fn read(bundle: &Path) -> Option<String> {
    let content = content(&path(bundle)?)?;
    Some(text::one_line(content.lines().next().unwrap_or("it was marked as damaged")))
}

/// What a mark holds, where there is one; nothing, if it cannot be read.
fn content(path: &Path) -> Option<String> {
    let is_file = path.symlink_metadata().ok()?.is_file();
    // Reading a named pipe in its place would block.
    let content = if is_file { std::fs::read_to_string(path).ok() } else { None };
    Some(content.unwrap_or_default())
}

/// The marks in a root, with the time at which the damage was found, of a deployment's bundles and of those of no
/// known domain, as one that was removed by hand.
pub fn among(root: &Path, domain: Option<&str>) -> Result<Vec<DamagedBundle>> {
    let failed = || format!("reading {}", root.display());
    let mut marks = Vec::new();
    for entry in std::fs::read_dir(root).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = BundleName::parse_beside(&entry.file_name(), Beside::Damaged);
        let Some(name) = name.as_ref().map(BundleName::as_str) else { continue };
        if !differ(domain::of(&root.join(name)).as_deref(), domain) {
            let found = entry.metadata().and_then(|mark| mark.modified()).with_context(failed)?;
            marks.push(DamagedBundle { name: name.to_owned(), found: found.into() });
        }
    }
    marks.sort_by(|a, b| b.name.cmp(&a.name));
    Ok(marks)
}

/// Marks a bundle as damaged. A mark that says the same keeps its time: that of the first check that found it. A root
/// that cannot be written to is reported and is no failure.
pub fn set(bundle: &Path, problems: &[Problem]) {
    let Some(path) = path(bundle) else { return };
    let text: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    if content(&path).is_some_and(|found| found == text) {
        return;
    }
    let written = AtomicFile::create(&path).and_then(|mut file| {
        file.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
        file.commit()?;
        atomic::sync_directory(atomic::directory_of(&path))
    });
    if let Err(error) = written {
        pipe_kit::info!("cannot mark the bundle as damaged: {error:#}");
    }
}

/// Removes the mark. A root that cannot be written to is reported and is no failure.
pub fn clear(bundle: &Path) {
    let Some(path) = path(bundle) else { return };
    if let Err(e) = tree::remove_file_if_there(&path) {
        pipe_kit::warning!(
            "{} marks a bundle that is not damaged, and cannot be removed: {e}",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_finished_bundle_is_marked() {
        let root = tempfile::tempdir().unwrap();
        let bundle = root.path().join("piprio_20260421T020000Z");
        set(&bundle, &[Problem { path: "a".to_owned(), problem: "is missing".to_owned() }]);
        assert_eq!(read(&bundle).as_deref(), Some("a is missing"));
        clear(&bundle);
        clear(&bundle);
        assert_eq!(read(&bundle), None);
        assert_eq!(path(&root.path().join(".piprio_20260421T020000Z.partial")), None);
    }
}
