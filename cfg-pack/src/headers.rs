//! The headers of a tar, with what extension headers add to the entries after them. The library's own
//! reader of those takes a newline inside a value for the end of a record.

use crate::entry::MAX_ENTRIES;
use crate::extra::Extra;
use crate::pax;
use anyhow::{Context, Result};
use pipe_kit::Stop;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use tar::{EntryType, Header};

/// How long an extension header may be, in bytes. They hold names, times and attributes, and lie in
/// memory as a whole.
pub const MAX_EXTENSION: u64 = 64 << 10;

/// A header as it was read; nothing in it is trusted.
#[derive(Clone, Debug)]
pub struct Raw {
    pub path: Vec<u8>,
    pub kind: EntryType,
    pub sparse: bool,
    /// Whether an extension header gives another size than the header.
    pub resized: bool,
    pub target: Option<Vec<u8>>,
    /// Where its content begins, in bytes.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Seconds since 1970, UTC.
    pub mtime: u64,
    pub extra: Extra,
}

/// What extension headers hold of the entry after them.
#[derive(Default)]
struct Extension {
    any: bool,
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    records: bool,
    size: Option<Option<u64>>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<u64>,
    sparse: bool,
    extra: Extra,
}

/// The entries in the archive's order, and where the last one ends.
///
/// # Errors
/// [`pipe_kit::Stop::damaged`] if it is no whole tar.
pub fn read(tar: &mut File) -> Result<(Vec<Raw>, u64)> {
    tar.seek(SeekFrom::Start(0)).context("reading the temporary file")?;
    let mut archive = tar::Archive::new(&*tar);
    let (mut raw, mut end) = (Vec::new(), 0);
    let mut extension = Extension::default();
    for (number, entry) in
        archive.entries_with_seek().map_err(|_| unreadable(0))?.raw(true).enumerate()
    {
        let mut entry = entry.map_err(|_| unreadable(number))?;
        let kind = entry.header().entry_type();
        if is_extension(kind) {
            let size = entry.size();
            if size > MAX_EXTENSION {
                return Err(damaged(format!("a name or extension header of {size} bytes")));
            }
            if !kind.is_pax_global_extensions() {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).map_err(|_| unreadable(number))?;
                extension.take(kind, content).map_err(|()| unreadable(number))?;
                continue;
            }
        }
        if raw.len() == MAX_ENTRIES {
            return Err(damaged(format!("it holds more than {MAX_ENTRIES} entries")));
        }
        let offset = entry.raw_file_position();
        let one = std::mem::take(&mut extension).entry(entry.header(), offset);
        let one = one.map_err(|_| unreadable(number))?;
        if one.resized {
            return Err(damaged("an entry has two different sizes"));
        }
        end = one
            .size
            .checked_next_multiple_of(512)
            .and_then(|s| s.checked_add(one.offset))
            .ok_or_else(|| damaged("the size of an entry is too large"))?;
        raw.push(one);
    }
    if extension.any {
        return Err(unreadable(raw.len()));
    }
    Ok((raw, end))
}

/// The error of an archive that is refused.
pub fn damaged(why: impl std::fmt::Display) -> anyhow::Error {
    Stop::damaged(format!("the archive is refused and nothing was changed: {why}")).into()
}

fn is_extension(kind: EntryType) -> bool {
    kind.is_gnu_longname()
        || kind.is_gnu_longlink()
        || kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
}

/// The library's own words may repeat what the archive holds, and that is secret.
fn unreadable(headers: usize) -> anyhow::Error {
    damaged(format!("it is not a complete tar file (read up to header {headers})"))
}

impl Extension {
    fn take(&mut self, kind: EntryType, content: Vec<u8>) -> Result<(), ()> {
        self.any = true;
        if kind.is_pax_local_extensions() {
            if std::mem::replace(&mut self.records, true) {
                return Err(());
            }
            for (key, value) in pax::records(&content)? {
                self.record(key, value)?;
            }
            return Ok(());
        }
        let mut text = content;
        text.truncate(text.iter().position(|b| *b == 0).unwrap_or(text.len()));
        once(if kind.is_gnu_longname() { &mut self.name } else { &mut self.target }, text)
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), ()> {
        let number = |value: &[u8]| pax::digits(value).map(|n| n as u64);
        match key {
            b"path" => once(&mut self.name, value.to_vec()),
            b"linkpath" => once(&mut self.target, value.to_vec()),
            b"size" => once(&mut self.size, number(value)),
            b"uid" => once(&mut self.uid, number(value).ok_or(())?),
            b"gid" => once(&mut self.gid, number(value).ok_or(())?),
            b"mtime" => {
                let whole = value.split(|b| *b == b'.').next().unwrap_or_default();
                self.mtime = number(whole);
                Ok(())
            }
            key if key.starts_with(b"GNU.sparse") => {
                self.sparse = true;
                Ok(())
            }
            key => {
                self.extra.take(key, value);
                Ok(())
            }
        }
    }

    fn entry(self, header: &Header, offset: u64) -> std::io::Result<Raw> {
        let kind = header.entry_type();
        let size = header.entry_size()?;
        let number = |extended: Option<u64>, own: std::io::Result<u64>| extended.map_or(own, Ok);
        Ok(Raw {
            // Readers differ in which of the two they believe, so what one of them checks another
            // extracts.
            resized: self.size.is_some_and(|extended| extended != Some(size)),
            path: self.name.unwrap_or_else(|| header.path_bytes().into_owned()),
            kind,
            sparse: self.sparse || kind == EntryType::GNUSparse,
            target: self
                .target
                .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned)),
            offset,
            size,
            mode: header.mode()?,
            uid: number(self.uid, header.uid())?,
            gid: number(self.gid, header.gid())?,
            mtime: number(self.mtime, header.mtime())?,
            extra: with_names(self.extra, header),
        })
    }
}

/// The header's own fields name owner and group where no record does.
fn with_names(mut extra: Extra, header: &Header) -> Extra {
    for (taken, key, field) in [
        (extra.owner.is_some(), b"uname", header.username_bytes()),
        (extra.group.is_some(), b"gname", header.groupname_bytes()),
    ] {
        if let (false, Some(name)) = (taken, field) {
            extra.take(key, name);
        }
    }
    extra
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), ()> {
    if place.replace(value).is_none() { Ok(()) } else { Err(()) }
}
