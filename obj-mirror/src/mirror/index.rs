//! The index of a mirror: one line of JSON for each object.

use crate::mirror::files::index_path;
use crate::mirror::files::sums_path;
use crate::mirror::files::whole_lines;
use crate::mirror::placement::may_lie_at;
use crate::mirror::sums;
use crate::object::attributes::Properties;
use crate::object::attributes::Tags;
use anyhow::{Context, Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use pipe_kit::atomic::AtomicFile;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

/// One object of a mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The key, without the mirrored prefix.
    pub key: String,
    /// Where its bytes are, relative to the mirror.
    pub path: String,
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// Hex SHA-256 of the bytes.
    pub sha256: String,
    /// When the object was written (UTC, milliseconds). The file's mtime is set to it.
    #[serde(serialize_with = "write_time", deserialize_with = "read_time")]
    pub last_modified: DateTime<Utc>,
    #[serde(flatten)]
    pub properties: Properties,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
}

fn write_time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// The entries that can still be read of a damaged file.
pub fn load_whole_lines(path: &Path) -> Result<Vec<Entry>> {
    Ok(whole_lines(path)?.iter().filter_map(|line| parse(line).ok()).collect())
}

pub fn parse_bytes(line: &[u8]) -> Result<Entry> {
    parse(std::str::from_utf8(line).context("not UTF-8")?)
}

pub(crate) fn parse(line: &str) -> Result<Entry> {
    let entry: Entry = serde_json::from_str(line).context("not an index entry")?;
    if !may_lie_at(&entry.key, &entry.path) {
        bail!("its path does not match its key");
    }
    // Only lower case, as written: nothing would ever match upper case.
    let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if entry.sha256.len() != 64 || !entry.sha256.bytes().all(is_hex) {
        bail!("invalid SHA-256");
    }
    Ok(entry)
}

/// An entry as a line of the index.
pub fn line(entry: &Entry) -> Result<String> {
    Ok(serde_json::to_string(entry).context("writing an entry")? + "\n")
}

/// The lines of an index, without their line feeds.
pub type Lines<'a> = Box<dyn Iterator<Item = Result<Vec<u8>>> + 'a>;

/// Writes index and `SHA256SUMS` of a complete mirror from the lines of its objects, sorted by key; the
/// caller syncs the directory.
pub fn save<'a>(mirror: &Path, lines: impl Fn() -> Lines<'a>) -> Result<()> {
    let writing = || "writing the index";
    let mut index = BufWriter::new(AtomicFile::create(&index_path(mirror))?);
    // Keys and paths have the same order, except for objects stored aside.
    let mut aside = BTreeMap::new();
    for line in lines() {
        let line = line?;
        index.write_all(&line).and_then(|()| index.write_all(b"\n")).with_context(writing)?;
        let entry = parse_bytes(&line)?;
        if entry.path != entry.key {
            aside.insert(entry.path, entry.sha256);
        }
    }
    let mut sums = BufWriter::new(AtomicFile::create(&sums_path(mirror))?);
    let mut put = |sha256: &str, path: &str| {
        sums.write_all(sums::line(sha256, path).as_bytes()).context("writing SHA256SUMS")
    };
    let mut aside = aside.into_iter().peekable();
    for line in lines() {
        let entry = parse_bytes(&line?)?;
        if entry.path != entry.key {
            continue;
        }
        while let Some((path, sha256)) = aside.next_if(|(path, _)| *path < entry.path) {
            put(&sha256, &path)?;
        }
        put(&entry.sha256, &entry.path)?;
    }
    aside.try_for_each(|(path, sha256)| put(&sha256, &path))?;
    let commit = |file: BufWriter<AtomicFile>| {
        file.into_inner().map_err(|e| e.into_error()).with_context(writing)?.commit()
    };
    commit(sums)?;
    commit(index)
}

#[cfg(test)]
impl Entry {
    /// For tests: an object of one byte.
    pub fn sample(key: &str, path: &str) -> Self {
        Self {
            key: key.into(),
            path: path.into(),
            size: 1,
            etag: "0".repeat(32),
            sha256: "0".repeat(64),
            last_modified: DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1),
            properties: Properties::default(),
            tags: Tags::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::placement::{OWN, stored_path};
    use crate::object::octets::Octets;

    fn entry(key: &str) -> Entry {
        Entry {
            key: key.into(),
            path: key.into(),
            size: 1,
            etag: "e".into(),
            sha256: "0".repeat(64),
            last_modified: "2026-04-21T02:00:00.123Z".parse().unwrap(),
            properties: Properties {
                content_type: Some("text/plain".into()),
                metadata: BTreeMap::from([("who".into(), "ü".into())]),
                ..Properties::default()
            },
            tags: Tags::new(),
        }
    }

    fn mirror() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(OWN)).unwrap();
        dir
    }

    #[test]
    fn an_index_reads_back_as_it_was_written_and_its_sums_are_by_path() {
        let dir = mirror();
        let aside = Entry { path: stored_path("a"), ..entry("a") };
        let tagged = Entry { tags: Tags::from([("t".into(), "v".into())]), ..entry("b") };
        let entries = [entry("-"), aside, tagged];
        let text = |entry: &Entry| Ok(line(entry).unwrap().trim_end().as_bytes().to_vec());
        save(dir.path(), || Box::new(entries.iter().map(text))).unwrap();
        assert_eq!(load_whole_lines(&index_path(dir.path())).unwrap(), entries);
        let sums = std::fs::read_to_string(sums_path(dir.path())).unwrap();
        let paths: Vec<&str> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
        assert_eq!(paths, ["-", &*stored_path("a"), "b"]);
        let text = std::fs::read_to_string(index_path(dir.path())).unwrap();
        assert!(text.contains(r#""last_modified":"2026-04-21T02:00:00.123Z""#), "{text}");
        assert!(!text.contains("null") && !text.contains("expires"), "{text}");
    }

    #[test]
    fn values_that_are_not_utf8_read_back_and_an_older_reader_reads_the_rest() {
        /// As the first version declared it.
        #[derive(Deserialize)]
        struct Older {
            key: String,
            #[serde(default)]
            content_type: Option<String>,
            #[serde(default)]
            metadata: BTreeMap<String, String>,
        }
        let raw = [("x-amz-meta-title", &b"caf\xe9"[..]), ("expires", b"\xff%41")];
        let raw = raw.map(|(name, value)| (name.to_owned(), Octets(value.to_vec())));
        let with = entry("a");
        let properties = Properties { raw_headers: raw.into(), ..with.properties.clone() };
        let with = Entry { properties, ..with };
        let text = line(&with).unwrap();
        let raw = r#""raw_headers":{"expires":"%FF%2541","x-amz-meta-title":"caf%E9"}"#;
        assert!(text.contains(raw), "{text}");
        assert_eq!(parse(text.trim_end()).unwrap(), with);
        assert_eq!(parse(text.replace("%E9", "%e9").trim_end()).unwrap(), with);
        assert!(parse(text.replace("%E9", "%E").trim_end()).is_err());
        let older: Older = serde_json::from_str(&text).unwrap();
        assert_eq!((older.key.as_str(), older.content_type.as_deref()), ("a", Some("text/plain")));
        assert_eq!(older.metadata["who"], "ü");
    }

    #[test]
    fn an_index_that_would_lead_outside_or_has_no_sum_of_ours_is_damage() {
        let parsed = |entry: &Entry| parse(line(entry).unwrap().trim_end());
        assert!(parsed(&entry("a")).is_ok());
        for path in ["../x", "/etc/passwd", "b", ".obj-mirror/index.jsonl"] {
            let hostile = Entry { path: path.into(), ..entry("a") };
            assert!(parsed(&hostile).is_err(), "{path}");
        }
        for sha256 in ["A".repeat(64), "0".repeat(63), "g".repeat(64)] {
            let damaged = Entry { sha256, ..entry("a") };
            assert!(parsed(&damaged).is_err(), "{}", damaged.sha256);
        }
    }
}
