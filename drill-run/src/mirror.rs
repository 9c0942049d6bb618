//! The index of a bundle's mirror: an object a line, sorted by key.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// What the index has of an object.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// The SHA-256 of its bytes.
    pub sha256: String,
    /// Everything else: headers, metadata, tags, and what is of no interest here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Headers that are kept with an object, by their names in the index.
const HEADERS: [&str; 6] = [
    "content_type",
    "content_encoding",
    "content_disposition",
    "content_language",
    "cache_control",
    "expires",
];
/// Values by name that are kept with an object.
const NAMED: [&str; 3] = ["metadata", "tags", "raw_headers"];

impl Object {
    /// Its content type, where it has one.
    pub fn content_type(&self) -> Option<&str> {
        self.rest.get("content_type").and_then(Value::as_str)
    }

    /// Each thing that is kept with it besides its bytes: a name and a value.
    fn properties(&self) -> impl Iterator<Item = (String, &Value)> {
        let headers = HEADERS.iter().filter_map(|name| {
            let value = self.rest.get(*name).filter(|value| !value.is_null())?;
            Some(((*name).replace('_', "-"), value))
        });
        let named = NAMED.iter().flat_map(|group| {
            let values = self.rest.get(*group).and_then(Value::as_object).into_iter().flatten();
            values.map(move |(name, value)| (format!("{} {name}", group.replace('_', " ")), value))
        });
        headers.chain(named)
    }
}

/// The objects of an index, as they are read.
pub struct Objects {
    lines: std::io::Split<BufReader<File>>,
    path: PathBuf,
}

impl Objects {
    /// Opens an index.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        Ok(Self { lines: BufReader::new(file).split(b'\n'), path: path.to_owned() })
    }
}

impl Iterator for Objects {
    type Item = Result<Object>;

    fn next(&mut self) -> Option<Self::Item> {
        let failed = || format!("reading {}", self.path.display());
        let read = |line: Vec<u8>| serde_json::from_slice(&line).with_context(failed);
        Some(self.lines.next()?.with_context(failed).and_then(read))
    }
}

/// A property that an object had and no longer has, though its bytes are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostProperty {
    pub key: String,
    /// `content-type`, `metadata owner`, `tags x`
    pub property: String,
    /// The value before.
    pub before: String,
    /// The value now; none where it is gone.
    pub now: Option<String>,
}

/// Passes each property that is lost from one index to the other to `take`. Both are sorted by key. A content type
/// that is another now counts as lost, since a storage gives every object one; other properties that changed do not.
///
/// # Errors
/// If an index cannot be read.
pub fn lost_properties(
    before: impl Iterator<Item = Result<Object>>,
    now: impl Iterator<Item = Result<Object>>,
    mut take: impl FnMut(LostProperty),
) -> Result<()> {
    let (mut before, mut now) = (before, now);
    let (mut old, mut new) = (before.next().transpose()?, now.next().transpose()?);
    while let (Some(was), Some(is)) = (&old, &new) {
        let order = was.key.cmp(&is.key);
        if order == Ordering::Equal && was.sha256 == is.sha256 {
            compare(was, is, &mut take);
        }
        if order.is_le() {
            old = before.next().transpose()?;
        }
        if order.is_ge() {
            new = now.next().transpose()?;
        }
    }
    Ok(())
}

fn compare(was: &Object, is: &Object, take: &mut impl FnMut(LostProperty)) {
    for (property, value) in was.properties() {
        let found = is.properties().find(|(name, _)| *name == property).map(|(_, value)| value);
        let is_lost = match found {
            None => true,
            Some(found) => property == "content-type" && found != value,
        };
        if is_lost {
            let key = was.key.clone();
            take(LostProperty { key, property, before: text(value), now: found.map(text) });
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(lines: &[&str]) -> Vec<Result<Object>> {
        lines.iter().map(|line| Ok(serde_json::from_str(line).unwrap())).collect()
    }

    #[test]
    fn what_objects_of_the_same_bytes_have_lost_is_found() {
        let before = [
            r#"{"key":"a","sha256":"1","content_type":"text/plain","metadata":{"who":"x","n":"1"}}"#,
            r#"{"key":"b","sha256":"1","content_type":"application/pdf","cache_control":"no-cache"}"#,
            r#"{"key":"c","sha256":"1","content_type":"text/plain"}"#,
            r#"{"key":"gone","sha256":"1","content_type":"text/plain"}"#,
        ];
        let now = [
            r#"{"key":"a","sha256":"1","metadata":{"n":"2"}}"#,
            r#"{"key":"b","sha256":"1","content_type":"binary/octet-stream","cache_control":"no-store"}"#,
            r#"{"key":"c","sha256":"2"}"#,
            r#"{"key":"new","sha256":"1"}"#,
        ];
        let mut lost = Vec::new();
        let take =
            |one: LostProperty| lost.push(format!("{} {} {:?}", one.key, one.property, one.now));
        lost_properties(objects(&before).into_iter(), objects(&now).into_iter(), take).unwrap();
        assert_eq!(
            lost,
            [
                "a content-type None",
                "a metadata who None",
                "b content-type Some(\"binary/octet-stream\")"
            ]
        );
    }
}
