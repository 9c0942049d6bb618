//! Lookup of index and journal entries by key. Only the place of each line is held in memory, found by a
//! hash of its key.

use crate::mirror::files;
use crate::mirror::index::{self, Entry};
use anyhow::{Context, Result};
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The place of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRef {
    pub file: ListFile,
    pub offset: u64,
    /// Without the line feed; 0 for no line.
    pub length: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListFile {
    /// The index of the previous run.
    Index,
    /// The journal, which is newer.
    Journal,
}

impl LineRef {
    pub const NONE: Self = Self { file: ListFile::Index, offset: 0, length: 0 };
}

/// The lines of an index and a journal, by key.
#[derive(Default)]
pub struct EntryLookup {
    index: Option<File>,
    journal: Option<File>,
    /// Sorted by hash of the key, older lines first.
    lines: Vec<(u64, LineRef)>,
    hash: RandomState,
}

impl EntryLookup {
    /// Reads index and journal of a mirror. The journal's last line may be cut.
    pub fn read(mirror: &Path) -> Result<Self> {
        let mut known = Self::default();
        known.index = known.take(&files::index_path(mirror), ListFile::Index)?;
        known.journal = known.take(&files::journal_path(mirror), ListFile::Journal)?;
        Ok(known.sorted())
    }

    /// Reads only the index; none if there is none.
    pub fn read_index(mirror: &Path) -> Result<Option<Self>> {
        let mut known = Self::default();
        known.index = known.take(&files::index_path(mirror), ListFile::Index)?;
        Ok(known.index.is_some().then(|| known.sorted()))
    }

    /// Reads only the journal.
    pub fn read_journal(mirror: &Path) -> Result<Self> {
        let mut known = Self::default();
        known.journal = known.take(&files::journal_path(mirror), ListFile::Journal)?;
        Ok(known.sorted())
    }

    fn sorted(mut self) -> Self {
        self.lines.sort_unstable_by_key(|(hash, line)| (*hash, line.file, line.offset));
        self.lines.shrink_to_fit();
        self
    }

    fn take(&mut self, path: &Path, list: ListFile) -> Result<Option<File>> {
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
                    let line = LineRef { file: list, offset, length };
                    self.lines.push((self.hash.hash_one(&entry.key), line));
                }
                Err(error) if list == ListFile::Index => return Err(error.context(at())),
                Err(_) => {}
            }
            offset += read as u64;
        }
        Ok(Some(file))
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// The newest entry of a key, and its place.
    pub fn get(&self, key: &str) -> Option<(Entry, LineRef)> {
        let hash = self.hash.hash_one(key);
        let end = self.lines.partition_point(|(other, _)| *other <= hash);
        let same = self.lines[..end].iter().rev().take_while(|(h, _)| *h == hash);
        for (_, line) in same {
            // A file that was replaced meanwhile counts as empty.
            let entry = self.entry(*line).ok()?;
            if entry.key == key {
                return Some((entry, *line));
            }
        }
        None
    }

    pub fn entry(&self, line: LineRef) -> Result<Entry> {
        index::parse_bytes(&self.text(line)?)
    }

    /// A line's bytes, without the line feed.
    pub fn text(&self, line: LineRef) -> Result<Vec<u8>> {
        let file = match line.file {
            ListFile::Index => self.index.as_ref(),
            ListFile::Journal => self.journal.as_ref(),
        };
        let mut text = vec![0; line.length as usize];
        let file = file.context("the file of this index entry is missing")?;
        file.read_exact_at(&mut text, line.offset).context("reading a line of the index")?;
        Ok(text)
    }

    /// Reads further journal lines from this file.
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
        let known = EntryLookup::read(dir.path()).unwrap();
        let size = |key: &str| known.get(key).map(|(e, _)| e.size);
        assert_eq!((size("k6"), size("k7"), size("new")), (Some(6), Some(1000), Some(5)));
        assert_eq!(size("none"), None);
        assert_eq!(known.len(), 502);
        let (found, line) = known.get("k8").unwrap();
        assert_eq!(known.entry(line).unwrap(), found);
        assert_eq!(
            EntryLookup::read_index(dir.path()).unwrap().unwrap().get("k7").unwrap().0.size,
            7
        );
        std::fs::write(files::index_path(dir.path()), "damaged\n").unwrap();
        assert!(EntryLookup::read(dir.path()).is_err());
        assert_eq!(EntryLookup::read_journal(dir.path()).unwrap().len(), 2);
    }
}
