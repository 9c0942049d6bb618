//! Files that are mounted alone, as a secret is. Compose does not notice that one was replaced: the
//! container keeps the old one.

use crate::client;
use crate::container::Container;
use crate::docker::{self, ANSWER};
use anyhow::Result;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{ChildStdout, Stdio};

/// What the times of a mounted file show.
#[derive(Debug, PartialEq, Eq)]
enum Age {
    /// As it was when the container started.
    Known,
    /// It may be another file of the same age, as an archive brings it.
    Unclear,
    /// Written after the container started.
    New,
}

/// The times are those of the last change of the file's inode, and of its content.
fn age(started: Time, changed: Time, modified: Time) -> Age {
    match (changed > started, modified > started) {
        (false, _) => Age::Known,
        (true, false) => Age::Unclear,
        (true, true) => Age::New,
    }
}

/// Whole seconds since 1970, and nanoseconds.
type Time = (i64, i64);

/// Whether a container still uses a file that was replaced.
///
/// # Errors
/// If the engine does not answer.
pub fn is_stale(container: &Container) -> Result<bool> {
    let Some(at) = container.started_at() else { return Ok(false) };
    let started = (at.timestamp(), i64::from(at.timestamp_subsec_nanos()));
    for (source, inside) in container.binds() {
        let Some((changed, modified)) = times(Path::new(source)) else { continue };
        let is_stale = match age(started, changed, modified) {
            Age::Known => false,
            Age::Unclear => !has_same_content(&container.id, inside, source)?,
            Age::New => true,
        };
        if is_stale {
            return Ok(true);
        }
    }
    Ok(false)
}

/// When a file was changed and modified last; of a link, the later of its own times and those of
/// what it leads to. Anything but a file has none.
fn times(path: &Path) -> Option<(Time, Time)> {
    let times = |of: &Metadata| ((of.ctime(), of.ctime_nsec()), (of.mtime(), of.mtime_nsec()));
    let (file, own) = (path.metadata().ok()?, path.symlink_metadata().ok()?);
    let ((changed, modified), (own_changed, own_modified)) = (times(&file), times(&own));
    file.is_file().then(|| (changed.max(own_changed), modified.max(own_modified)))
}

/// Whether the file inside can be read and is the same as the one here.
fn has_same_content(id: &str, inside: &str, source: &str) -> Result<bool> {
    let mut command = docker::command(&["exec", id, "cat", inside]);
    command.stderr(Stdio::null());
    let Ok(file) = File::open(source) else { return Ok(false) };
    let same = |pipe: ChildStdout| are_same(BufReader::new(pipe), BufReader::new(file));
    let (status, same) = client::read(command, ANSWER, "docker exec cat", same)?;
    Ok(status.success() && same.unwrap_or(false))
}

fn are_same(one: impl BufRead, other: impl BufRead) -> io::Result<bool> {
    let (mut one, mut other) = (one.bytes(), other.bytes());
    loop {
        match (one.next().transpose()?, other.next().transpose()?) {
            (None, None) => return Ok(true),
            (a, b) if a != b => return Ok(false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::tests::container;
    use serde_json::json;

    #[test]
    fn a_file_that_was_replaced_since_the_start_is_looked_into_unless_its_content_is_new() {
        let started = (1000, 500);
        for (changed, modified, expected) in [
            ((999, 999), (10, 0), Age::Known),
            ((1000, 500), (1000, 500), Age::Known),
            ((999, 0), (2000, 0), Age::Known),
            ((1000, 501), (10, 0), Age::Unclear),
            ((1001, 0), (1000, 500), Age::Unclear),
            ((1001, 0), (1000, 501), Age::New),
        ] {
            assert_eq!(age(started, changed, modified), expected, "{changed:?} {modified:?}");
        }
    }

    #[test]
    fn only_files_that_are_newer_than_the_container_make_it_stale() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, "x").unwrap();
        for (source, started, expected) in [
            (file.as_path(), "2020-01-01T00:00:00Z", true),
            (&file, "2999-01-01T00:00:00Z", false),
            (&file, "", false),
            (dir.path(), "2020-01-01T00:00:00Z", false),
            (Path::new("/no/such/file"), "2020-01-01T00:00:00Z", false),
        ] {
            let it = container(&[
                ("/State/StartedAt", json!(started)),
                ("/Mounts", json!([{"Type": "bind", "Source": source, "Destination": "/key"}])),
            ]);
            assert_eq!(is_stale(&it).unwrap(), expected, "{} {started}", source.display());
        }
    }

    #[test]
    fn content_is_the_same_only_to_its_end() {
        for (one, other, same) in [
            ("", "", true),
            ("ab", "ab", true),
            ("ab", "ac", false),
            ("a", "ab", false),
            ("ab", "a", false),
        ] {
            assert_eq!(are_same(one.as_bytes(), other.as_bytes()).unwrap(), same, "{one} {other}");
        }
    }
}
