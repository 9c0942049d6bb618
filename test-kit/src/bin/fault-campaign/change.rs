//! Single changes of a bundle: what a disk, a copy or a person does to it.

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use flate2::bufread::GzDecoder;
use std::fmt;
use std::path::{Path, PathBuf};

/// A bundle's files, by size in bytes, paths relative to it.
#[derive(Debug)]
pub struct Files {
    pub all: Vec<(PathBuf, u64)>,
    /// Those that the seal covers: everything but the objects.
    sealed: Vec<(PathBuf, u64)>,
    directories: Vec<PathBuf>,
    /// Where each gzip member of the dump ends, in bytes.
    members: Vec<u64>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Flip { path: PathBuf, offset: u64, bit: u32 },
    Cut { path: PathBuf, length: u64 },
    Extend { path: PathBuf, bytes: Vec<u8> },
    Remove(PathBuf),
    Add { path: PathBuf, bytes: Vec<u8> },
    Link(PathBuf),
    Swap(PathBuf, PathBuf),
}

const DUMP: &str = "database.sql.gz";

impl Files {
    /// # Errors
    /// If the bundle cannot be read.
    pub fn of(bundle: &Path) -> Result<Self> {
        let (mut all, mut directories) = (Vec::new(), Vec::new());
        for entry in walkdir::WalkDir::new(bundle).sort_by_file_name() {
            let entry = entry.context("reading a bundle")?;
            let path = entry.path().strip_prefix(bundle).context("a path below")?.to_owned();
            match entry.file_type().is_dir() {
                true => directories.push(path),
                false => all.push((path, entry.metadata().context("a file's size")?.len())),
            }
        }
        let is_sealed = |path: &Path| {
            !path.starts_with("minio")
                || path.starts_with("minio/.obj-mirror")
                    && !path.starts_with("minio/.obj-mirror/objects")
        };
        let sealed = all.iter().filter(|(path, _)| is_sealed(path)).cloned().collect();
        let members = members(&std::fs::read(bundle.join(DUMP)).context("reading the dump")?)?;
        Ok(Self { all, sealed, directories, members })
    }

    /// Where a cut leaves whole gzip members: what follows the dump's beginning is not missed by gzip.
    pub fn boundaries(&self) -> &[u64] {
        self.members.split_last().map_or(&[], |(_, inner)| inner)
    }

    /// In turn one of the few big and important files, and one of all.
    fn pick(&self, n: usize, rng: &mut Rng) -> Result<(PathBuf, u64)> {
        let from = if n.is_multiple_of(2) { &self.sealed } else { &self.all };
        let filled: Vec<_> = from.iter().filter(|(_, size)| *size > 0).collect();
        rng.choice(filled).cloned().context("a bundle without files")
    }

    pub fn flip(&self, n: usize, rng: &mut Rng) -> Result<Change> {
        let (path, size) = self.pick(n, rng)?;
        Ok(Change::Flip { path, offset: rng.u64(..size), bit: rng.u32(..8) })
    }

    pub fn cut(&self, n: usize, rng: &mut Rng) -> Result<Change> {
        let (path, size) = self.pick(n, rng)?;
        Ok(Change::Cut { path, length: rng.u64(..size) })
    }

    pub fn cut_at_member(&self, n: usize) -> Result<Change> {
        let length = *self.boundaries().get(n).context("the dump has too few members")?;
        Ok(Change::Cut { path: DUMP.into(), length })
    }

    pub fn emptied(&self, n: usize) -> Result<Change> {
        let mut filled = self.all.iter().filter(|(_, size)| *size > 0).cycle();
        let (path, _) = filled.nth(n).context("a bundle without files")?.clone();
        Ok(Change::Cut { path, length: 0 })
    }

    pub fn removed(&self, n: usize) -> Result<Change> {
        Ok(Change::Remove(self.all.get(n % self.all.len()).context("no files")?.0.clone()))
    }

    pub fn added(&self, n: usize, rng: &mut Rng) -> Result<Change> {
        let name = [".hidden", "stray", "0001.pdf", "SHA256SUMS.old"][n % 4];
        let directory = self.directories.get(n % self.directories.len()).context("none")?;
        let path = directory.join(format!("{name}{}", rng.u16(..)));
        Ok(match n % 5 {
            4 => Change::Link(path),
            _ => Change::Add { path, bytes: vec![b'x'; rng.usize(..3)] },
        })
    }

    pub fn extended(&self, n: usize, bundle: &Path, rng: &mut Rng) -> Result<Change> {
        let (path, _) = self.pick(n, rng)?;
        let last = match self.members.as_slice() {
            [.., from, to] => *from..*to,
            _ => bail!("the dump has too few members"),
        };
        if n.is_multiple_of(5) {
            // A whole member more: gzip has nothing against it.
            let dump = std::fs::read(bundle.join(DUMP)).context("reading the dump")?;
            let range = usize::try_from(last.start)?..usize::try_from(last.end)?;
            let bytes = dump.get(range).context("a member")?.to_vec();
            return Ok(Change::Extend { path: DUMP.into(), bytes });
        }
        Ok(Change::Extend { path, bytes: [&b"\n"[..], b"\0", b" "][n % 3].to_vec() })
    }

    pub fn swapped(&self, bundle: &Path, rng: &mut Rng) -> Result<Change> {
        for _ in 0..1000 {
            let pair = (rng.choice(&self.all), rng.choice(&self.all));
            let (Some((a, _)), Some((b, _))) = pair else { break };
            if std::fs::read(bundle.join(a))? != std::fs::read(bundle.join(b))? {
                return Ok(Change::Swap(a.clone(), b.clone()));
            }
        }
        bail!("there are no two files that differ")
    }
}

/// Where each member of a gzip file ends.
fn members(mut rest: &[u8]) -> Result<Vec<u64>> {
    let (whole, mut ends) = (rest.len(), Vec::new());
    while !rest.is_empty() {
        let mut member = GzDecoder::new(rest);
        std::io::copy(&mut member, &mut std::io::sink()).context("inflating the dump")?;
        rest = member.into_inner();
        ends.push((whole - rest.len()) as u64);
    }
    Ok(ends)
}

impl Change {
    /// Makes the change in a copy whose files are other names of the bundle's own: a changed file
    /// becomes a new one.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn apply(&self, copy: &Path) -> Result<()> {
        let read = |path: &Path| std::fs::read(copy.join(path)).context("reading a file");
        let write = |path: &Path, bytes: &[u8]| {
            let path = copy.join(path);
            std::fs::remove_file(&path)
                .and_then(|()| std::fs::write(&path, bytes))
                .context("changing a file")
        };
        match self {
            Self::Flip { path, offset, bit } => {
                let mut bytes = read(path)?;
                let at = usize::try_from(*offset)?;
                *bytes.get_mut(at).context("an offset in the file")? ^= 1 << bit;
                write(path, &bytes)
            }
            Self::Cut { path, length } => {
                let bytes = read(path)?;
                let left =
                    bytes.get(..usize::try_from(*length)?).context("a length of the file")?;
                ensure!(left.len() < bytes.len(), "a cut that cuts nothing");
                write(path, left)
            }
            Self::Extend { path, bytes } => write(path, &[read(path)?.as_slice(), bytes].concat()),
            Self::Remove(path) => std::fs::remove_file(copy.join(path)).context("removing a file"),
            Self::Add { path, bytes } => {
                std::fs::write(copy.join(path), bytes).context("adding a file")
            }
            Self::Link(path) => std::os::unix::fs::symlink("/etc/hostname", copy.join(path))
                .context("adding a link"),
            Self::Swap(a, b) => {
                let (first, second) = (read(a)?, read(b)?);
                write(a, &second)?;
                write(b, &first)
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flip { path, offset, bit } => {
                write!(f, "bit {bit} of byte {offset} of {} flipped", path.display())
            }
            Self::Cut { path, length } => write!(f, "{} cut to {length} bytes", path.display()),
            Self::Extend { path, bytes } => {
                write!(f, "{} bytes appended to {}", bytes.len(), path.display())
            }
            Self::Remove(path) => write!(f, "{} removed", path.display()),
            Self::Add { path, .. } => write!(f, "{} added", path.display()),
            Self::Link(path) => write!(f, "{} added, a link", path.display()),
            Self::Swap(a, b) => write!(f, "{} and {} swapped", a.display(), b.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_members_end_is_where_the_next_begins() {
        let (a, b) = (gzip("one"), gzip("another"));
        let ends = members(&[a.as_slice(), &b].concat()).unwrap();
        assert_eq!(ends, [a.len() as u64, (a.len() + b.len()) as u64]);
    }

    #[test]
    fn a_change_leaves_the_file_that_the_copy_shares_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let copy = tempfile::tempdir_in(dir.path()).unwrap();
        std::fs::write(dir.path().join("a"), [0, 0]).unwrap();
        std::fs::hard_link(dir.path().join("a"), copy.path().join("a")).unwrap();
        let flip = Change::Flip { path: "a".into(), offset: 1, bit: 3 };
        flip.apply(copy.path()).unwrap();
        assert_eq!(std::fs::read(copy.path().join("a")).unwrap(), [0, 8]);
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), [0, 0]);
    }
}
