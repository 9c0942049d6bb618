//! Sorts records by key in bounded memory: what does not fit lies in a temporary file.

use crate::spool;
use anyhow::{Context, Result};
use pipe_kit::warning;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Records that are held in memory, bytes.
const ROOM: usize = 4 * 1024 * 1024;
/// The read buffers of all runs together, bytes.
const BUFFERS: usize = 4 * 1024 * 1024;

/// A key, by whose bytes records are sorted, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// Takes records in any order. Those that come in order are neither sorted nor merged.
pub struct Sorter {
    room: usize,
    /// The records in memory, encoded.
    buffer: Vec<u8>,
    starts: Vec<u32>,
    is_sorted: bool,
    count: u64,
    spilled: Option<Spilled>,
}

/// The sorted runs in the temporary file.
struct Spilled {
    file: BufWriter<File>,
    end: u64,
    runs: Vec<Range<u64>>,
    /// The last key of the last run.
    last: Vec<u8>,
}

impl Default for Sorter {
    fn default() -> Self {
        Self::with_room(ROOM)
    }
}

impl Sorter {
    fn with_room(room: usize) -> Self {
        let (buffer, starts) = (Vec::new(), Vec::new());
        Self { room, buffer, starts, is_sorted: true, count: 0, spilled: None }
    }

    /// The number of records.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Adds a record.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if self.buffer.len() + key.len() + value.len() > self.room && !self.starts.is_empty() {
            self.make_room()?;
        }
        self.is_sorted &= self.starts.last().is_none_or(|start| self.key_at(*start) <= key);
        self.starts.push(
            u32::try_from(self.buffer.len()).context("the keys are too many for the memory")?,
        );
        for part in [key, value] {
            let length = u32::try_from(part.len()).context("a key is too long")?;
            self.buffer.extend_from_slice(&length.to_le_bytes());
            self.buffer.extend_from_slice(part);
        }
        self.count += 1;
        Ok(())
    }

    fn key_at(&self, start: u32) -> &[u8] {
        let (key, _) = field(&self.buffer[start as usize..]);
        key
    }

    /// The records in memory, in order; equal keys keep the order in which they came.
    fn sort(&mut self) {
        if !self.is_sorted {
            let mut starts = std::mem::take(&mut self.starts);
            starts.sort_by(|a, b| self.key_at(*a).cmp(self.key_at(*b)));
            self.starts = starts;
            self.is_sorted = true;
        }
    }

    /// Moves the records to the temporary file, if one can be made. A restore must not fail because there is none.
    fn make_room(&mut self) -> Result<()> {
        if self.spilled.is_none() {
            match Spilled::new() {
                Ok(spilled) => self.spilled = Some(spilled),
                Err(error) => {
                    warning!("{error:#}; all keys are held in memory");
                    self.room = usize::MAX;
                }
            }
        }
        self.spill()
    }

    fn spill(&mut self) -> Result<()> {
        self.sort();
        let Self { buffer, starts, spilled: Some(spilled), .. } = self else { return Ok(()) };
        let Some((first, last)) = starts.first().zip(starts.last()) else { return Ok(()) };
        let key = |start: u32| field(&buffer[start as usize..]).0;
        let begin = spilled.end;
        for start in starts.iter() {
            spilled.add(&buffer[*start as usize..])?;
        }
        match spilled.runs.last_mut().filter(|_| *spilled.last <= *key(*first)) {
            Some(run) => run.end = spilled.end,
            None => spilled.runs.push(begin..spilled.end),
        }
        spilled.last = key(*last).to_vec();
        buffer.clear();
        starts.clear();
        Ok(())
    }

    /// All records, sorted.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn finish(mut self) -> Result<Sorted> {
        self.sort();
        let mut runs = Vec::new();
        if let Some(Spilled { file, runs: ranges, .. }) = self.spilled {
            let file = file.into_inner().map_err(|e| e.into_error()).context(WRITING)?;
            let (file, size) = (Arc::new(file), (BUFFERS / ranges.len()).clamp(4096, 1 << 18));
            runs.extend(ranges.into_iter().map(|range| {
                let part = FilePart { file: Arc::clone(&file), range };
                Run::OnDisk(BufReader::with_capacity(size, part))
            }));
        }
        runs.push(Run::InMemory { buffer: self.buffer, starts: self.starts.into_iter() });
        Ok(Sorted { waiting: runs, heads: BinaryHeap::new() })
    }
}

const WRITING: &str = "writing a temporary file (TMPDIR, else /var/tmp)";

impl Spilled {
    fn new() -> Result<Self> {
        let dir = spool::directory();
        let making = || format!("creating a temporary file in {}", dir.display());
        let file = BufWriter::new(tempfile::tempfile_in(&dir).with_context(making)?);
        Ok(Self { file, end: 0, runs: Vec::new(), last: Vec::new() })
    }

    /// Adds the record that these bytes begin with.
    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let (_, value) = field(bytes);
        let record = &bytes[..bytes.len() - field(value).1.len()];
        self.file.write_all(record).context(WRITING)?;
        self.end += record.len() as u64;
        Ok(())
    }
}

/// Splits an encoded field from what follows it.
fn field(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk().unwrap_or((&[0; 4], &[]));
    rest.split_at(u32::from_le_bytes(*length) as usize)
}

/// A part of a file, as a stream.
struct FilePart {
    file: Arc<File>,
    range: Range<u64>,
}

impl Read for FilePart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..most], self.range.start)?;
        self.range.start += read as u64;
        Ok(read)
    }
}

/// Records in order.
enum Run {
    OnDisk(BufReader<FilePart>),
    InMemory { buffer: Vec<u8>, starts: std::vec::IntoIter<u32> },
}

impl Run {
    fn next(&mut self) -> io::Result<Option<Record>> {
        match self {
            Self::OnDisk(part) => {
                if io::BufRead::fill_buf(part)?.is_empty() {
                    return Ok(None);
                }
                let mut field = || {
                    let mut length = [0; 4];
                    part.read_exact(&mut length)?;
                    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
                    part.read_exact(&mut bytes)?;
                    io::Result::Ok(bytes)
                };
                Ok(Some(Record { key: field()?, value: field()? }))
            }
            Self::InMemory { buffer, starts } => Ok(starts.next().map(|start| {
                let (key, rest) = field(&buffer[start as usize..]);
                Record { key: key.to_vec(), value: field(rest).0.to_vec() }
            })),
        }
    }
}

/// The first record of a run, and the rest of it.
struct Head {
    record: Record,
    number: usize,
    run: Run,
}

impl Head {
    fn order(&self) -> (&[u8], usize) {
        (&self.record.key, self.number)
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// The records of a [`Sorter`] by key; equal keys keep the order in which they came.
pub struct Sorted {
    /// Runs that have not been begun.
    waiting: Vec<Run>,
    heads: BinaryHeap<Reverse<Head>>,
}

impl Sorted {
    fn advance(&mut self) -> io::Result<Option<Record>> {
        for (number, mut run) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            if let Some(record) = run.next()? {
                self.heads.push(Reverse(Head { record, number, run }));
            }
        }
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        Ok(Some(match head.0.run.next()? {
            Some(next) => std::mem::replace(&mut head.0.record, next),
            None => PeekMut::pop(head).0.record,
        }))
    }
}

impl Iterator for Sorted {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        self.advance().context("reading a temporary file").transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(room: usize, keys: &[Vec<u8>]) -> (Vec<(Vec<u8>, usize)>, usize) {
        let mut sorter = Sorter::with_room(room);
        for (number, key) in keys.iter().enumerate() {
            sorter.push(key, number.to_string().as_bytes()).unwrap();
        }
        assert_eq!(sorter.len(), keys.len() as u64);
        let runs = sorter.spilled.as_ref().map_or(0, |spilled| spilled.runs.len());
        let number = |record: &Record| std::str::from_utf8(&record.value).unwrap().parse().unwrap();
        let records = sorter.finish().unwrap().map(Result::unwrap);
        (records.map(|record| (record.key.clone(), number(&record))).collect(), runs)
    }

    proptest! {
        #[test]
        fn whatever_the_room_records_come_in_byte_order_and_equal_ones_as_they_came(
            room in 1_usize..300,
            keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..200),
        ) {
            let mut expected: Vec<_> =
                keys.iter().cloned().enumerate().map(|(number, key)| (key, number)).collect();
            expected.sort();
            prop_assert_eq!(sorted(room, &keys).0, expected);
        }
    }

    #[test]
    fn records_that_come_in_order_make_one_run_however_many_they_are() {
        let keys: Vec<_> = (0..5000).map(|n| format!("{n:06}").into_bytes()).collect();
        assert_eq!(sorted(100, &keys).1, 1);
        let reversed: Vec<_> = keys.iter().rev().cloned().collect();
        let (records, runs) = sorted(100, &reversed);
        assert!(runs > 100 && records.iter().map(|(key, _)| key).is_sorted());
        assert_eq!(records.len(), 5000);
    }
}
