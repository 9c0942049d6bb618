//! A directory, such as that of a disk that is mounted for copies.

mod output;

use crate::mounts::Mounted;
pub use crate::place::directory::output::ALIGNMENT;
use crate::place::directory::output::Output;
use crate::place::remote_file::RemoteFile;
use anyhow::{Context, Result, bail};
use bundle_format::name::PREFIX;
use bundle_format::shipped;
use pipe_kit::cleanup::{self, Guard};
use pipe_kit::progress::Bar;
use pipe_kit::text::hex;
use pipe_kit::{Stop, atomic, lock};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const BLOCK: usize = 1 << 20;

/// A directory.
pub struct Directory {
    path: PathBuf,
    /// Where its disk was mounted, as far as that is known.
    mounted: Option<Mounted>,
}

/// A file that is being written, as `.NAME.partial`. Dropped uncommitted, or ended by a signal, it leaves nothing.
pub struct NewFile {
    file: Output,
    partial: PathBuf,
    target: PathBuf,
    guard: Guard,
    _lock: lock::Lock,
}

impl Directory {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), mounted: None }
    }

    /// With what is known of the place of its disk.
    pub fn mounted(self, mounted: Option<Mounted>) -> Self {
        Self { mounted, ..self }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory is never created: where a disk is not mounted, the copy would fill another one.
    fn require(&self) -> Result<()> {
        let path = self.path.display();
        if let Some(mounted) = self.mounted.as_ref().filter(|m| m.is_missing(&self.path)) {
            let (place, record) = (mounted.place.display(), mounted.record.display());
            bail!(
                "{path} was on a filesystem that was mounted at {place}, and nothing is mounted there now; mount it \
                 (mount {place}); if copies shall be kept on the disk below from now on: rm '{record}'"
            );
        }
        match self.path.is_dir() {
            true => Ok(()),
            false => bail!(
                "there is no directory {path}; is its disk mounted? if it is to be new: mkdir -m 0700 '{path}'"
            ),
        }
    }

    /// Lists the files whose names begin as those of bundles.
    pub fn list(&self) -> Result<Vec<RemoteFile>> {
        let mut files = self.files()?;
        files.retain(|file| file.name.starts_with(PREFIX));
        Ok(files)
    }

    fn files(&self) -> Result<Vec<RemoteFile>> {
        self.require()?;
        let reading = || format!("reading {}", self.path.display());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path).with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let meta = entry.metadata().with_context(reading)?;
            if let (true, Ok(name)) = (meta.is_file(), entry.file_name().into_string()) {
                let modified = meta.modified().with_context(reading)?.into();
                files.push(RemoteFile { name, size: meta.len(), modified });
            }
        }
        Ok(files)
    }

    /// Opens a file for reading.
    pub fn open(&self, name: &str) -> Result<File> {
        self.require()?;
        let path = self.path.join(name);
        open_regular(&path).with_context(|| format!("reading {}", path.display()))
    }

    pub fn read(&self, name: &str, most: u64) -> Result<Vec<u8>> {
        let path = self.path.join(name);
        let reading = || format!("reading {}", path.display());
        let file = open_regular(&path).with_context(reading)?;
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes).with_context(reading)?;
        match bytes.len() as u64 > most {
            true => Err(too_large(most)),
            false => Ok(bytes),
        }
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut file = self.create(name)?;
        file.write_all(bytes)?;
        file.commit()
    }

    pub fn check(
        &self,
        name: &str,
        range: Option<Range<u64>>,
        sha256: &str,
        bar: &Bar,
    ) -> Result<()> {
        let path = self.path.join(name);
        let reading = || format!("reading {}", path.display());
        let mut file = open_regular(&path).with_context(reading)?;
        let length = range.as_ref().map_or(u64::MAX, |range| range.end - range.start);
        if let Some(range) = range {
            file.seek(SeekFrom::Start(range.start)).with_context(reading)?;
        }
        let (mut rest, mut hash, mut block) = (file.take(length), Sha256::new(), vec![0; BLOCK]);
        loop {
            match rest.read(&mut block) {
                Ok(0) => break,
                Ok(n) => {
                    hash.update(&block[..n]);
                    bar.inc(n as u64);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(reading),
            }
        }
        let found = hex(&hash.finalize());
        match found == sha256 {
            true => Ok(()),
            false => Err(Stop::damaged(format!("its SHA-256 is {found}, not {sha256}")).into()),
        }
    }

    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => atomic::sync_directory(&self.path),
        }
    }

    /// Starts a file. What a killed run has left of it is overwritten.
    ///
    /// # Errors
    /// [`Stop::refused`] if another run is writing it.
    pub fn create(&self, name: &str) -> Result<NewFile> {
        self.require()?;
        let partial = self.path.join(format!(".{name}.partial"));
        if partial.symlink_metadata().is_ok_and(|found| !found.is_file()) {
            bail!("{} is in the way: it is not a regular file; remove it", partial.display());
        }
        let lock = lock::take(&partial, "another run that copies this bundle")?;
        let undone = partial.clone();
        let guard = cleanup::on_failure(move || {
            let _ = std::fs::remove_file(undone);
        });
        let mut options = OpenOptions::new();
        // Others may be able to write there: what lies in its place must not lead elsewhere.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = options.write(true).create(true).mode(0o600).custom_flags(flags).open(&partial);
        let file = file.and_then(|file| {
            require_regular(&file)?;
            file.set_len(0)?;
            Ok(file)
        });
        let file = file.with_context(|| format!("creating {}", partial.display()))?;
        let file = Output::new(file);
        Ok(NewFile { file, partial, target: self.path.join(name), guard, _lock: lock })
    }

    /// Removes what killed runs have left of copies of bundles; a file that a run is writing stays.
    pub fn remove_partials(&self) -> Result<()> {
        for RemoteFile { name, .. } in self.files()? {
            let inner = name.strip_prefix('.').and_then(|name| name.strip_suffix(".partial"));
            let of_copy = inner.map(|inner| inner.strip_suffix(shipped::SUFFIX).unwrap_or(inner));
            if of_copy.and_then(shipped::sealed_name).is_none() {
                continue;
            }
            if let Ok(_lock) = lock::take(&self.path.join(&name), "another run") {
                self.remove(&name)?;
            }
        }
        Ok(())
    }
}

impl NewFile {
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).with_context(|| format!("writing {}", self.partial.display()))
    }

    /// Gives the file its name, once it is on the disk.
    pub fn commit(self) -> Result<()> {
        let Self { file, partial, target, guard, .. } = self;
        file.sync().with_context(|| format!("syncing {}", partial.display()))?;
        std::fs::rename(&partial, &target)
            .with_context(|| format!("renaming to {}", target.display()))?;
        guard.disarm();
        atomic::sync_directory(atomic::directory_of(&target))
    }
}

/// Opens a file and nothing else: a named pipe in its place would block.
fn open_regular(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    require_regular(&file)?;
    Ok(file)
}

fn require_regular(file: &File) -> std::io::Result<()> {
    match file.metadata()?.is_file() {
        true => Ok(()),
        false => Err(std::io::Error::other("it is not a regular file")),
    }
}

/// The error of a description that is larger than any is.
pub fn too_large(most: u64) -> anyhow::Error {
    let most = pipe_kit::text::size(most);
    Stop::damaged(format!("it is larger than {most}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Directory) -> Vec<String> {
        let mut names: Vec<_> = directory.files().unwrap().into_iter().map(|f| f.name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::new(dir.path());
        let mut half = directory.create("a").unwrap();
        half.write_all(b"half").unwrap();
        assert!(directory.create("a").is_err(), "two runs write one file");
        assert_eq!(names(&directory), [".a.partial"]);
        drop(half);
        assert!(names(&directory).is_empty());
        directory.write("a", b"whole").unwrap();
        let check = |range, text: &str| {
            directory.check("a", range, &hex(&Sha256::digest(text)), &Bar::hidden())
        };
        check(None, "whole").unwrap();
        check(Some(1..3), "ho").unwrap();
        assert!(check(Some(1..3), "hO").is_err());
        assert_eq!(directory.read("a", 5).unwrap(), b"whole");
        assert!(directory.read("a", 4).is_err());
        directory.remove("a").unwrap();
        directory.remove("a").unwrap();
        assert!(names(&directory).is_empty());
        // What leads elsewhere is not followed.
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), dir.path().join(".a.partial"))
            .unwrap();
        assert!(directory.create("a").is_err() && !dir.path().join("elsewhere").exists());
        let missing = Directory::new(&dir.path().join("none"));
        assert!(missing.list().is_err() && missing.create("a").is_err());
    }

    #[test]
    fn what_killed_runs_left_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::new(dir.path());
        let name = "piprio_20260421T020000Z.tar.age";
        let partials = [format!(".{name}.partial"), format!(".{name}.json.partial")];
        for left in partials.iter().map(String::as_str).chain([".other.partial", name]) {
            std::fs::write(dir.path().join(left), "").unwrap();
        }
        let written = directory.create("piprio_20260422T020000Z.tar.age").unwrap();
        directory.remove_partials().unwrap();
        let kept = [".other.partial", ".piprio_20260422T020000Z.tar.age.partial", name];
        assert_eq!(names(&directory), kept);
        drop(written);
    }
}
