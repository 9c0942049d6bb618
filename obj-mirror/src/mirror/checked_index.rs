//! The index of a mirror, checked as a whole and then read entry by entry.

use crate::external_sort::Sorter;
use crate::mirror::files::{index_path, open, sums_path};
use crate::mirror::index::{self, Entry};
use crate::mirror::paths::Paths;
use crate::mirror::placement::OWN;
use crate::mirror::sums;
use crate::object::key::printable;
use crate::spool::{self, TempFileFailed};
use anyhow::{Context, Result, bail};
use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Lines, Seek, Write};
use std::path::{Path, PathBuf};

/// An index without damage. Only the file is held, and a few bytes of each entry.
pub struct CheckedIndex {
    /// In the order of its keys: the index itself, or a sorted copy.
    file: File,
    path: PathBuf,
    /// Where its objects are stored.
    pub paths: Paths,
    /// The number of its entries.
    pub len: u64,
    /// The bytes of its objects together.
    pub bytes: u64,
    /// Whether `SHA256SUMS` matches it, to the byte.
    pub sums_agree: bool,
}

/// Entries in the order of their keys.
pub struct Entries {
    lines: Lines<BufReader<File>>,
    path: PathBuf,
    number: u64,
}

impl CheckedIndex {
    /// Checks the index of a mirror; none if it has none.
    ///
    /// # Errors
    /// If it is damaged; [`TempFileFailed`] if that could not be found out.
    pub fn open(mirror: &Path) -> Result<Option<Self>> {
        let path = index_path(mirror);
        let Some(file) = open(&path)? else { return Ok(None) };
        let sums = SumsCheck::open(mirror);
        let (paths, len, bytes, sums_agree) = (Paths::default(), 0, 0, false);
        let mut checked = Self { file, path, paths, len, bytes, sums_agree };
        if !checked.check(sums)? {
            checked.file = checked.sorted_copy().context(TempFileFailed)?;
            (checked.paths, checked.len, checked.bytes) = (Paths::default(), 0, 0);
            checked.check(SumsCheck::open(mirror))?;
        }
        Ok(Some(checked))
    }

    /// All entries. Only one reader at a time: they share the place in the file.
    pub fn entries(&self) -> Result<Entries> {
        let reading = || format!("reading {}", self.path.display());
        let mut file = self.file.try_clone().with_context(reading)?;
        file.rewind().with_context(reading)?;
        let lines = BufReader::with_capacity(1 << 18, file).lines();
        Ok(Entries { lines, path: self.path.clone(), number: 0 })
    }

    /// Reads every entry, and returns whether they are sorted: only then are all keys found that are there
    /// twice, and only then are the sums compared.
    fn check(&mut self, mut sums: Option<SumsCheck>) -> Result<bool> {
        let (mut last, mut is_sorted) = (None::<String>, true);
        for entry in self.entries()? {
            let entry = entry?;
            match last.as_deref().map(|last| last.cmp(&entry.key)) {
                // The path follows from the key, so no path is there twice without its key.
                Some(Ordering::Equal) => {
                    let key = printable(&entry.key);
                    bail!("{}: lists a key or path twice: {key}", self.path.display());
                }
                Some(Ordering::Greater) => is_sorted = false,
                _ => {}
            }
            if let Some(sums) = sums.as_mut().filter(|_| is_sorted) {
                sums.add(&entry).context(TempFileFailed)?;
            }
            self.paths.insert(&entry.path);
            self.len += 1;
            self.bytes = self.bytes.saturating_add(entry.size);
            last = Some(entry.key);
        }
        self.sums_agree = match sums.filter(|_| is_sorted) {
            Some(sums) => sums.finish().context(TempFileFailed)?,
            None => false,
        };
        Ok(is_sorted)
    }

    /// A temporary copy that is sorted by key.
    fn sorted_copy(&self) -> Result<File> {
        let mut sorter = Sorter::default();
        for entry in self.entries()? {
            let entry = entry?;
            sorter.push(entry.key.as_bytes(), index::line(&entry)?.as_bytes())?;
        }
        let writing = || format!("writing a temporary file in {}", spool::directory().display());
        let copy = tempfile::tempfile_in(spool::directory()).with_context(writing)?;
        let mut copy = BufWriter::new(copy);
        for record in sorter.finish()? {
            copy.write_all(&record?.value).with_context(writing)?;
        }
        copy.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(writing)
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        let line = self.lines.next()?;
        self.number += 1;
        let entry = line.map_err(Into::into).and_then(|line| index::parse(&line));
        Some(entry.with_context(|| format!("{}, line {}", self.path.display(), self.number)))
    }
}

/// Compares `SHA256SUMS` with entries that come in the order of their keys. Paths have the same order, except
/// those of objects stored aside, which are together in one place.
struct SumsCheck {
    lines: BufReader<File>,
    /// The lines of objects stored aside, as the file has them.
    found: Sorter,
    /// The same as the entries have them.
    expected: Sorter,
    agrees: bool,
    line: Vec<u8>,
    /// The path of the last entry at its key's own path.
    last: String,
}

impl SumsCheck {
    /// None if there is no such file.
    fn open(mirror: &Path) -> Option<Self> {
        // `open` refuses what is not a regular file: reading a pipe would block.
        let file = open(&sums_path(mirror)).ok().flatten()?;
        let lines = BufReader::with_capacity(1 << 18, file);
        let (found, expected) = (Sorter::default(), Sorter::default());
        Some(Self { lines, found, expected, agrees: true, line: Vec::new(), last: String::new() })
    }

    fn add(&mut self, entry: &Entry) -> Result<()> {
        if !self.agrees {
            return Ok(());
        }
        let expected = sums::line(&entry.sha256, &entry.path);
        if entry.path != entry.key {
            return self.expected.push(entry.path.as_bytes(), expected.as_bytes());
        }
        self.next_natural(&entry.path)?;
        self.agrees &= self.line == expected.as_bytes();
        entry.path.clone_into(&mut self.last);
        Ok(())
    }

    /// Reads the next line, past those of objects stored aside if they belong here, before `path`.
    fn next_natural(&mut self, path: &str) -> Result<()> {
        loop {
            self.line.clear();
            self.agrees &= self.lines.read_until(b'\n', &mut self.line).is_ok();
            let Some(aside) = aside_path(&self.line) else { return Ok(()) };
            self.agrees &= self.last.as_bytes() < aside && aside < path.as_bytes();
            if !self.agrees {
                return Ok(());
            }
            // Each is the next of the file, so its order is that of their numbers.
            let number = self.found.len().to_be_bytes();
            self.found.push(&number, &self.line)?;
        }
    }

    /// Whether the whole file matches.
    fn finish(mut self) -> Result<bool> {
        // Above every path.
        self.next_natural("\u{10ffff}")?;
        if !self.agrees || !self.line.is_empty() || self.found.len() != self.expected.len() {
            return Ok(false);
        }
        for (found, expected) in self.found.finish()?.zip(self.expected.finish()?) {
            if found?.value != expected?.value {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The path of a line, if it is that of an object stored aside; these need no escapes.
fn aside_path(line: &[u8]) -> Option<&[u8]> {
    let path = line.get(64..)?.strip_prefix(b"  ")?.strip_suffix(b"\n")?;
    path.strip_prefix(format!("{OWN}/objects/").as_bytes()).map(|_| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::placement::{Placement, place, stored_path};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn entry(key: &str) -> Entry {
        let aside = place(key) == Placement::Stored;
        Entry::sample(key, &if aside { stored_path(key) } else { key.to_owned() })
    }

    fn text(keys: impl IntoIterator<Item = impl AsRef<str>>) -> String {
        keys.into_iter().map(|key| index::line(&entry(key.as_ref())).unwrap()).collect()
    }

    fn mirror(keys: &BTreeSet<String>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(OWN)).unwrap();
        let lines = text(keys);
        let lines = || lines.lines().map(|line| Ok(line.as_bytes().to_vec()));
        index::save(dir.path(), || Box::new(lines())).unwrap();
        dir
    }

    fn open_index(dir: &Path) -> CheckedIndex {
        CheckedIndex::open(dir).unwrap().unwrap()
    }

    fn keys(checked: &CheckedIndex) -> Vec<String> {
        checked.entries().unwrap().map(|entry| entry.unwrap().key).collect()
    }

    proptest! {
        #[test]
        fn a_saved_index_is_intact_in_any_order_and_any_change_of_its_sums_is_found(
            keys in prop::collection::btree_set("[-./a-b\\\\\n\u{ff5e}\u{1f600}]{1,4}", 1..12),
            swapped in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let dir = mirror(&keys);
            let checked = open_index(dir.path());
            prop_assert!(checked.sums_agree);
            prop_assert_eq!(checked.len, keys.len() as u64);
            let sorted: Vec<String> = keys.iter().cloned().collect();
            prop_assert_eq!(&self::keys(&checked), &sorted);

            std::fs::write(index_path(dir.path()), text(keys.iter().rev())).unwrap();
            let checked = open_index(dir.path());
            prop_assert!(checked.sums_agree);
            prop_assert_eq!(&self::keys(&checked), &sorted);

            let sums = std::fs::read_to_string(sums_path(dir.path())).unwrap();
            let mut lines: Vec<_> = sums.split_inclusive('\n').collect();
            let (a, b) = (swapped.0.index(lines.len()), swapped.1.index(lines.len()));
            lines.swap(a, b);
            let write = |lines: &[&str]| std::fs::write(sums_path(dir.path()), lines.concat());
            write(&lines).unwrap();
            prop_assert_eq!(open_index(dir.path()).sums_agree, a == b);
            lines.swap(a, b);
            lines.insert(b, lines[a]);
            write(&lines).unwrap();
            prop_assert!(!open_index(dir.path()).sums_agree);
            lines.remove(b);
            lines.remove(a);
            write(&lines).unwrap();
            prop_assert!(!open_index(dir.path()).sums_agree);
        }
    }

    #[test]
    fn damage_anywhere_is_found_before_an_entry_is_used() {
        let keys = BTreeSet::from(["a", "b", "c//d"].map(String::from));
        let dir = mirror(&keys);
        let damaged = |text: String| {
            std::fs::write(index_path(dir.path()), text).unwrap();
            CheckedIndex::open(dir.path()).err().map(|error| format!("{error:#}"))
        };
        let intact = text(&keys);
        assert_eq!(damaged(intact.clone()), None);
        let last = damaged(intact.trim_end().trim_end_matches('}').to_owned()).unwrap();
        assert!(last.contains("line 3"), "{last}");
        for twice in [["a", "a", "b"], ["b", "a", "b"], ["a", "c//d", "c//d"]] {
            assert!(damaged(text(twice)).unwrap().contains("twice"), "{twice:?}");
        }
        std::fs::remove_file(sums_path(dir.path())).unwrap();
        assert_eq!(damaged(intact), None);
        assert!(!open_index(dir.path()).sums_agree);
        std::fs::remove_file(index_path(dir.path())).unwrap();
        assert!(CheckedIndex::open(dir.path()).unwrap().is_none());
    }
}
