//! The mark beside a bundle that a full verify found damaged, so that no quick check trusts it.

use crate::bundle::tree;
use bundle_format::name::{Beside, BundleName};
use bundle_format::report::Problem;
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
    let path = path(bundle)?;
    let is_file = path.symlink_metadata().ok()?.is_file();
    // Reading a named pipe in its place would block.
    let content = if is_file { std::fs::read_to_string(&path).ok() } else { None };
    let content = content.unwrap_or_default();
    Some(text::one_line(content.lines().next().unwrap_or("it was marked as damaged")))
}

/// Marks a bundle as damaged. A root that cannot be written to is reported and is no failure.
pub fn set(bundle: &Path, problems: &[Problem]) {
    let Some(path) = path(bundle) else { return };
    let written = AtomicFile::create(&path).and_then(|mut file| {
        for problem in problems {
            writeln!(file, "{problem}")?;
        }
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
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            pipe_kit::warning!(
                "{} marks a bundle that is not damaged, and cannot be removed: {e}",
                path.display()
            );
        }
        _ => {}
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
