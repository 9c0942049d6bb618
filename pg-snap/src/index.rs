//! The index of a dump: where each section is. It follows the end marker as SQL comments, which psql
//! ignores; a last member of fixed length contains its offset (docs/FORMAT.md).

use crate::gzip::{Inflater, MEMBER, members_in, stored};
use crate::sql::Name;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

const TITLE: &str = "-- pg-snap-index: 1\n";
const LOCATOR: &str = "-- pg-snap-index-at: ";
const DIGITS: usize = 20;
/// The index of a million tables is smaller.
const LONGEST: u64 = 1 << 30;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Definitions that come before the data.
    PreData,
    /// One table's rows, or a part of them: one COPY block.
    TableData,
    /// The sequences' values.
    Sequences,
    LargeObjects,
    /// Definitions that come after the data: indexes, keys, triggers.
    PostData,
    /// The end marker.
    End,
}

/// A run of gzip members. Field names are part of the dump's format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Bytes from the dump's beginning.
    pub offset: u64,
    /// Bytes, compressed.
    pub length: u64,
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The root of the table's partition tree, if its rows are loaded through that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Name>,
    /// Of a table's data.
    #[serde(default)]
    pub rows: u64,
    /// Of a table's data the rows' bytes, of every other section its text's.
    #[serde(default)]
    pub bytes: u64,
}

impl Section {
    /// Of a table's data, the table.
    pub fn name(&self) -> Name {
        (self.schema.clone().unwrap_or_default(), self.table.clone().unwrap_or_default())
    }
}

/// The sections of a dump, without gaps from its first byte on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Index {
    pub sections: Vec<Section>,
}

impl Index {
    /// The text after the end marker, without the locator.
    pub fn to_text(&self) -> serde_json::Result<String> {
        let mut text = format!("--\n{TITLE}");
        for section in &self.sections {
            text += &format!("-- {}\n", serde_json::to_string(section)?);
        }
        text += "--\n";
        Ok(text)
    }

    /// The last member, which records that the index begins at `offset`.
    pub fn locator(offset: u64) -> Vec<u8> {
        stored(format!("{LOCATOR}{offset:0width$}\n", width = DIGITS).as_bytes())
    }

    /// Reads a dump's index; none if it has none, or one that does not fit the file: such a dump is read from
    /// its beginning. Leaves the file's position undefined.
    pub fn read(file: &mut File) -> io::Result<Option<Self>> {
        let size = file.seek(SeekFrom::End(0))?;
        let locator_length = Self::locator(0).len() as u64;
        let Some(at) = size.checked_sub(locator_length) else { return Ok(None) };
        let mut locator = Vec::new();
        file.seek(SeekFrom::Start(at))?;
        file.take(locator_length).read_to_end(&mut locator)?;
        let Some(offset) = Self::located(&locator) else { return Ok(None) };
        let Some(length) = at.checked_sub(offset).filter(|length| *length <= LONGEST) else {
            return Ok(None);
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut text = String::new();
        // A deflate stream expands to at most 1,032 times its size; the index is plain text, and less.
        let limit = length.saturating_mul(64) + MEMBER as u64;
        match members_in(file.take(length)).take(limit).read_to_string(&mut text) {
            Ok(_) => Ok(Self::from_text(&text).filter(|index| index.covers(offset))),
            Err(error) => match error.kind() {
                io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::UnexpectedEof => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn located(locator: &[u8]) -> Option<u64> {
        let text = String::from_utf8(Inflater::new().text(locator).ok()?).ok()?;
        let digits = text.strip_prefix(LOCATOR)?.strip_suffix('\n')?;
        let plain = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok())?
    }

    /// From [`Index::to_text`]'s.
    pub fn from_text(text: &str) -> Option<Self> {
        let lines = text.strip_prefix("--\n")?.strip_prefix(TITLE)?.strip_suffix("--\n")?;
        let section = |line: &str| serde_json::from_str(line.strip_prefix("-- ")?).ok();
        Some(Self { sections: lines.lines().map(section).collect::<Option<_>>()? })
    }

    /// Whether the sections fill everything before `offset`, and the last one holds the end marker.
    fn covers(&self, offset: u64) -> bool {
        let end = self.sections.iter().try_fold(0u64, |at, section| {
            (section.offset == at).then(|| at.checked_add(section.length))?
        });
        end == Some(offset) && self.sections.last().is_some_and(|last| last.kind == Kind::End)
    }
}

/// A dump and its index, if it is a file that has one.
pub fn open(path: &Path) -> Result<Option<(Arc<File>, Index)>> {
    // A pipe must not be opened twice: at the close, its writer would find its reader gone.
    if path.as_os_str() == "-" || !path.is_file() {
        return Ok(None);
    }
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let index = Index::read(&mut file).context("reading the dump")?;
    Ok(index.map(|index| (Arc::new(file), index)))
}

/// The text of one section. Several may be read from one file at the same time.
pub fn text_of(file: Arc<File>, section: &Section) -> impl Read + Send + use<> {
    members_in(Slice { file, at: section.offset }.take(section.length))
}

struct Slice {
    file: Arc<File>,
    at: u64,
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gzip::{Deflater, Level};
    use std::io::Write;

    fn section(offset: u64, length: u64, kind: Kind) -> Section {
        Section { offset, length, kind, schema: None, table: None, root: None, rows: 0, bytes: 0 }
    }

    fn sample(members: &[Vec<u8>]) -> Index {
        let mut offset = 0;
        let mut sections = Vec::new();
        for member in members {
            sections.push(section(offset, member.len() as u64, Kind::TableData));
            offset += member.len() as u64;
        }
        sections.last_mut().unwrap().kind = Kind::End;
        sections[0].schema = Some("a\n-- b".into());
        Index { sections }
    }

    fn file(parts: &[&[u8]]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        parts.iter().for_each(|part| file.write_all(part).unwrap());
        file
    }

    #[test]
    fn an_index_is_found_where_the_locator_points_and_taken_only_if_it_fits_the_file() {
        let mut deflater = Deflater::new(Level::Default);
        let members =
            [deflater.member(b"select 1;\n").unwrap(), deflater.member(b"-- end\n").unwrap()];
        let index = sample(&members);
        let body = members.concat();
        let zipped = deflater.member(index.to_text().unwrap().as_bytes()).unwrap();
        let locator = Index::locator(body.len() as u64);
        let read = |parts: &[&[u8]]| Index::read(&mut file(parts)).unwrap();
        assert_eq!(read(&[&body, &zipped, &locator]), Some(index));
        assert_eq!(read(&[&body, &zipped]), None);
        assert_eq!(read(&[&body[1..], &zipped, &locator]), None);
        assert_eq!(read(&[b"x", &body, &zipped, &locator]), None);
        assert_eq!(read(&[&body, &zipped, &Index::locator(u64::MAX)]), None);
        assert_eq!(read(&[&body, &zipped, &Index::locator(3)]), None);
        assert_eq!(read(&[&body, &zipped, &locator[1..]]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn the_index_is_comments_whatever_the_names() {
        let text = sample(&[vec![1], vec![2]]).to_text().unwrap();
        assert!(text.lines().all(|line| line.starts_with("--")), "{text}");
        assert_eq!(Index::locator(0).len(), Index::locator(u64::MAX).len());
    }
}
