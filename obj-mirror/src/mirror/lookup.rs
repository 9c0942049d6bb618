//! What indexes and journals know of objects, without holding it in memory: of each line its place in
//! its file, found by a hash of its key.

use crate::mirror::files;
use crate::mirror::index::{self, Entry};
use anyhow::{Context, Result};
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where a line lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Of which file.
    pub from: From,
    /// Bytes before it.
    pub offset: u64,
    /// Its bytes, without the line feed; 0 for no line.
    pub length: u32,
}

/// The files that lines lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum From {
    /// The index of the run before.
    Index,
    /// The journal, which is younger.
    Journal,
}

impl Line {
    /// No line.
    pub const NONE: Self = Self { from: From::Index, offset: 0, length: 0 };
}

/// The lines of an index and of a journal, by key.
#[derive(Default)]
pub struct Known {
    index: Option<File>,
    journal: Option<File>,
    /// By hash of the key, the younger of two after the older.
    lines: Vec<(u64, Line)>,
    hash: RandomState,
}

impl Known {
    /// What the index and the journal of a mirror know. The journal's last line may be cut.
    ///
    /// # Errors
    /// If one of them is there and cannot be read, or the index is damaged.
    pub fn read(mirror: &Path) -> Result<Self> {
        let mut known = Self::default();
        known.index = known.take(&files::index_path(mirror), From::Index)?;
        known.journal = known.take(&files::journal_path(mirror), From::Journal)?;
        Ok(known.sorted())
    }

    /// What the index alone knows; nothing where there is none.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn read_index(mirror: &Path) -> Result<Option<Self>> {
        let mut known = Self::default();
        known.index = known.take(&files::index_path(mirror), From::Index)?;
        Ok(known.index.is_some().then(|| known.sorted()))
    }

    /// What the journal alone knows.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn read_journal(mirror: &Path) -> Result<Self> {
        let mut known = Self::default();
        known.journal = known.take(&files::journal_path(mirror), From::Journal)?;
        Ok(known.sorted())
    }

    fn sorted(mut self) -> Self {
        self.lines.sort_unstable_by_key(|(hash, line)| (*hash, line.from, line.offset));
        self.lines.shrink_to_fit();
        self
    }

    fn take(&mut self, path: &Path, from: From) -> Result<Option<File>> {
        let Some(file) = files::open(path)? else { return Ok(None) };
        let mut reader = BufReader::with_capacity(1 << 18, &file);
        let (mut offset, mut text, mut number) = (0, Vec::new(), 0);
        loop {
            text.clear();
            number += 1;
            let at = || format!("{}, line {number}", path.display());
            let read = reader.read_until(b'\n', &mut text).with_context(at)?;
            if read == 0 {
                break;
            }
            let line = text.strip_suffix(b"\n").unwrap_or(&text);
            let length = u32::try_from(line.len()).with_context(at)?;
            match index::parse_bytes(line) {
                Ok(entry) => {
                    let line = Line { from, offset, length };
                    self.lines.push((self.hash.hash_one(&entry.key), line));
                }
                Err(error) if from == From::Index => return Err(error.context(at())),
                Err(_) => {}
            }
            offset += read as u64;
        }
        Ok(Some(file))
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// The youngest line of a key, and where it lies.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<(Entry, Line)> {
        let hash = self.hash.hash_one(key);
        let end = self.lines.partition_point(|(other, _)| *other <= hash);
        let same = self.lines[..end].iter().rev().take_while(|(h, _)| *h == hash);
        for (_, line) in same {
            // A file that was exchanged meanwhile knows nothing.
            let entry = self.entry(*line).ok()?;
            if entry.key == key {
                return Some((entry, *line));
            }
        }
        None
    }

    /// A line's entry.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn entry(&self, line: Line) -> Result<Entry> {
        index::parse_bytes(&self.text(line)?)
    }

    /// A line's bytes, without the line feed.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn text(&self, line: Line) -> Result<Vec<u8>> {
        let file = match line.from {
            From::Index => self.index.as_ref(),
            From::Journal => self.journal.as_ref(),
        };
        let mut text = vec![0; line.length as usize];
        let file = file.context("the file of this index entry is missing")?;
        file.read_exact_at(&mut text, line.offset).context("reading a line of the index")?;
        Ok(text)
    }

    /// Reads lines of the journal that is being written from now on.
    pub fn follow(&mut self, journal: File) {
        self.journal = Some(journal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::placement::OWN;

    fn entry(key: &str, size: u64) -> Entry {
        Entry { size, ..Entry::sample(key, key) }
    }

    #[test]
    fn the_journal_knows_better_than_the_index_and_may_be_cut() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(OWN)).unwrap();
        let text = |entries: &[Entry]| -> String {
            entries.iter().map(|e| index::line(e).unwrap()).collect()
        };
        let all: Vec<_> = (0..500).map(|n| entry(&format!("k{n}"), n)).collect();
        std::fs::write(files::index_path(dir.path()), text(&all)).unwrap();
        let journal = text(&[entry("k7", 1000), entry("new", 5)]);
        let cut = format!("{journal}{}", &journal[..40]);
        std::fs::write(files::journal_path(dir.path()), cut).unwrap();
        let known = Known::read(dir.path()).unwrap();
        let size = |key: &str| known.get(key).map(|(e, _)| e.size);
        assert_eq!((size("k6"), size("k7"), size("new")), (Some(6), Some(1000), Some(5)));
        assert_eq!(size("none"), None);
        assert_eq!(known.len(), 502);
        let (found, line) = known.get("k8").unwrap();
        assert_eq!(known.entry(line).unwrap(), found);
        assert_eq!(Known::read_index(dir.path()).unwrap().unwrap().get("k7").unwrap().0.size, 7);
        std::fs::write(files::index_path(dir.path()), "damaged\n").unwrap();
        assert!(Known::read(dir.path()).is_err());
        assert_eq!(Known::read_journal(dir.path()).unwrap().len(), 2);
    }
}
