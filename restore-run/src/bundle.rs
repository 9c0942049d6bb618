//! The bundle that is restored from.

use anyhow::{Context, Result};
use bundle_format::report::ComponentBytes;
use bundle_format::{BundleName, layout, manifest};
use pipe_kit::Stop;
use pipe_kit::text::hex;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};

/// A bundle's directory and its manifest. Not yet validated.
#[derive(Debug)]
pub struct Bundle {
    /// Absolute.
    pub dir: PathBuf,
    manifest: String,
}

impl Bundle {
    /// Opens a bundle.
    ///
    /// # Errors
    /// [`Stop::usage`] if it is no directory, [`Stop::damaged`] if its manifest is missing.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = dir.canonicalize().ok().filter(|d| d.is_dir()).ok_or_else(|| {
            Stop::usage(format!(
                "there is no bundle {}; restore.sh without an argument lists the bundles",
                dir.display()
            ))
        })?;
        let file = dir.join(layout::MANIFEST);
        let manifest = match read_regular(&file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Stop::damaged(format!(
                    "{}: MANIFEST.txt is missing: not a bundle, or an incomplete one; nothing was changed",
                    dir.display()
                ))
                .into());
            }
            Err(e) => return Err(e).with_context(|| format!("reading {}", file.display())),
        };
        Ok(Self { dir, manifest })
    }

    /// Whether a directory is a bundle, however damaged: by its name, or by a file that no other directory has.
    pub fn is_one(dir: &Path) -> bool {
        let Ok(dir) = dir.canonicalize() else { return false };
        let is_named = dir.file_name().is_some_and(|name| {
            BundleName::parse(name).or_else(|| BundleName::parse_partial(name)).is_some()
        });
        let files = [layout::MANIFEST, layout::SEAL, layout::DATABASE];
        let has_one = || files.iter().any(|file| dir.join(file).symlink_metadata().is_ok());
        dir.is_dir() && (is_named || has_one())
    }

    /// Which bundle it is, wherever it lies: a hash over its manifest and its seal, in hex.
    pub fn identity(&self) -> Result<String> {
        let mut hash = Sha256::new_with_prefix(&self.manifest);
        let seal = self.dir.join(layout::SEAL);
        match read_regular(&seal) {
            Ok(bytes) => hash.update(bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).with_context(|| format!("reading {}", seal.display())),
        }
        Ok(hex(&hash.finalize()))
    }

    /// A `Key: value` of the manifest.
    pub fn value(&self, key: &str) -> Option<&str> {
        manifest::value(&self.manifest, key)
    }

    /// The sizes of its components, by the manifest.
    pub fn bytes(&self) -> ComponentBytes {
        ComponentBytes::of_manifest(&self.manifest)
    }

    /// The manifest without control characters, which could change a terminal.
    pub fn manifest_text(&self) -> String {
        self.manifest.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect()
    }

    /// `database.sql.gz`
    pub fn dump(&self) -> PathBuf {
        self.dir.join(layout::DATABASE)
    }

    /// `minio/`, where the bundle has one.
    pub fn mirror(&self) -> Option<PathBuf> {
        Some(self.dir.join(layout::MIRROR)).filter(|d| d.is_dir())
    }

    /// `config.tar.gz`
    pub fn config(&self) -> PathBuf {
        self.dir.join(layout::CONFIG)
    }

    /// The directory it lies in.
    pub fn root(&self) -> &Path {
        self.dir.parent().unwrap_or(Path::new("/"))
    }
}

/// Reading a pipe in a file's place could wait without end.
fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.is_file() {
        return std::fs::read(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_known_by_its_manifest_and_seal_wherever_it_lies() {
        let bundle = |seal: Option<&str>| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("MANIFEST.txt"), "Domain: d\n").unwrap();
            if let Some(text) = seal {
                std::fs::write(dir.path().join("SHA256SUMS"), text).unwrap();
            }
            Bundle::open(dir.path()).unwrap().identity().unwrap()
        };
        assert_eq!(bundle(Some("a")), bundle(Some("a")));
        assert_ne!(bundle(Some("a")), bundle(Some("b")));
        assert_ne!(bundle(Some("a")), bundle(None));
    }

    #[test]
    fn a_damaged_bundle_is_one_by_its_name_or_one_of_its_files_and_no_other_directory_is() {
        let dir = tempfile::tempdir().unwrap();
        let is_one = |name: &str, file: Option<&str>| {
            let dir = dir.path().join(name);
            std::fs::create_dir_all(&dir).unwrap();
            if let Some(file) = file {
                std::fs::write(dir.join(file), "").unwrap();
            }
            Bundle::is_one(&dir)
        };
        assert!(is_one("piprio_20260421T020000Z", None));
        assert!(is_one(".piprio_20260421T020000Z.partial", None));
        assert!(!is_one("backups", None) && !is_one("data", Some("minio")));
        for (name, file) in [("a", "MANIFEST.txt"), ("b", "SHA256SUMS"), ("c", "database.sql.gz")] {
            assert!(is_one(name, Some(file)), "{file}");
        }
        assert!(!Bundle::is_one(&dir.path().join("piprio_20260422T020000Z")));
        let file = dir.path().join("piprio_20260423T020000Z");
        std::fs::write(&file, "").unwrap();
        assert!(!Bundle::is_one(&file));
    }

    #[test]
    fn a_pipe_in_the_manifests_place_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("MANIFEST.txt");
        rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RUSR).unwrap();
        assert!(Bundle::open(dir.path()).is_err());
    }
}
