//! What a run will do: pure functions of what lies on both sides.

use crate::index::Entry;
use crate::placement::{Placement, natural_together, place, stored_path};
use crate::report::Failure;
use crate::source::Source;
use crate::store::Listed;
use crate::tree::Contents;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// An object that will be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// What the listing says of it.
    pub object: Listed,
    /// Where it will lie.
    pub path: String,
}

/// Bucket to directory.
#[derive(Debug, Default)]
pub struct Pull {
    /// Objects that are there already.
    pub keep: Vec<Entry>,
    /// Objects that will be fetched.
    pub fetch: Vec<Fetch>,
    /// Objects that cannot be.
    pub failures: Vec<Failure>,
}

/// Plans a pull: what is listed, what an index or journal knows by key, and what lies on disk.
#[must_use]
pub fn pull(listing: Vec<Listed>, mut known: HashMap<String, Entry>, disk: &Contents) -> Pull {
    let mut plan = Pull::default();
    let mut wanted = Vec::new();
    for object in listing {
        let entry = known.remove(&object.key).filter(|e| is_current(e, &object, disk));
        match (entry, place(&object.key)) {
            (Some(entry), _) => plan.keep.push(entry),
            (None, Placement::Refused(reason)) => {
                plan.failures.push(Failure { key: object.key, reason: reason.into() });
            }
            (None, _) => wanted.push(object),
        }
    }
    // All of the bucket's keys count, the kept ones too: of `a` and `a/b` it is always `a` that yields.
    let keys = plan.keep.iter().map(|e| &e.key).chain(wanted.iter().map(|o| &o.key));
    let natural: HashSet<String> =
        natural_together(keys.map(String::as_str)).into_iter().map(str::to_owned).collect();
    plan.fetch = wanted
        .into_iter()
        .map(|object| {
            let free = natural.contains(&object.key) && !is_blocked(&object.key, disk);
            let path = if free { object.key.clone() } else { stored_path(&object.key) };
            Fetch { object, path }
        })
        .collect();
    plan
}

/// Whether the file on disk is the listed object, as far as can be told without reading it.
fn is_current(entry: &Entry, object: &Listed, disk: &Contents) -> bool {
    let file = disk.files.get(&entry.path);
    entry.etag == object.etag
        && entry.size == object.size
        && entry.last_modified == object.modified
        && file.is_some_and(|f| f.size == entry.size && f.modified == Some(entry.last_modified))
}

/// Whether something on disk stands where a directory of the path must be, or a directory where the
/// file must be.
fn is_blocked(path: &str, disk: &Contents) -> bool {
    let above = |at: usize| {
        let directory = &path[..at];
        disk.files.contains_key(directory) || disk.foreign.contains(std::path::Path::new(directory))
    };
    disk.directories.contains(path) || path.match_indices('/').any(|(at, _)| above(at))
}

/// Files on disk that are none of the mirror's objects.
#[must_use]
pub fn leftovers<'a>(disk: &Contents, objects: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let objects: HashSet<&str> = objects.into_iter().collect();
    disk.files.keys().filter(|path| !objects.contains(path.as_str())).cloned().collect()
}

/// Directory to bucket.
#[derive(Debug, Default)]
pub struct Push {
    /// Objects that are there already.
    pub keep: u64,
    /// Objects that may be there already; the answer takes a request or a reading.
    pub check: Vec<(Source, Listed)>,
    /// Objects that will be sent.
    pub send: Vec<Source>,
    /// Keys that the source does not have.
    pub extra: BTreeSet<String>,
}

/// Plans a push: what the directory has, and what is listed. `spoken_for` are keys that the source has
/// but cannot send, so that they are not taken for extra ones.
#[must_use]
pub fn push(sources: Vec<Source>, listing: Vec<Listed>, spoken_for: &HashSet<String>) -> Push {
    let mut plan = Push::default();
    let mut there: BTreeMap<String, Listed> =
        listing.into_iter().map(|object| (object.key.clone(), object)).collect();
    for source in sources {
        match there.remove(&source.key) {
            None => plan.send.push(source),
            Some(object) if object.size != source.size => plan.send.push(source),
            Some(object) => match &source.entry {
                Some(e) if e.etag == object.etag && e.last_modified == object.modified => {
                    plan.keep += 1;
                }
                Some(e) if e.etag != object.etag && is_md5(&e.etag) && is_md5(&object.etag) => {
                    plan.send.push(source);
                }
                _ => plan.check.push((source, object)),
            },
        }
    }
    plan.extra = there.into_keys().filter(|key| !spoken_for.contains(key)).collect();
    plan
}

/// Whether an ETag can be the plain MD5 of an object.
#[must_use]
pub fn is_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Properties;
    use crate::tree::Stat;
    use chrono::DateTime;
    use std::path::PathBuf;

    fn listed(key: &str) -> Listed {
        let modified = DateTime::from_timestamp_millis(1_000).unwrap();
        Listed { key: key.into(), size: 1, etag: "0".repeat(32), modified }
    }

    fn entry(key: &str, path: &str) -> Entry {
        let Listed { size, etag, modified, .. } = listed(key);
        Entry {
            key: key.into(),
            path: path.into(),
            size,
            etag,
            sha256: "0".repeat(64),
            last_modified: modified,
            properties: Properties::default(),
        }
    }

    fn disk(files: &[&str]) -> Contents {
        let stat = Stat { size: 1, modified: Some(listed("").modified) };
        let mut disk = Contents::default();
        for file in files {
            disk.files.insert((*file).to_owned(), stat);
            let above = file.match_indices('/').map(|(at, _)| file[..at].to_owned());
            disk.directories.extend(above);
        }
        disk
    }

    fn known(entries: &[Entry]) -> HashMap<String, Entry> {
        entries.iter().map(|e| (e.key.clone(), e.clone())).collect()
    }

    fn paths(plan: &Pull) -> Vec<(&str, bool)> {
        plan.fetch.iter().map(|f| (f.object.key.as_str(), f.path == f.object.key)).collect()
    }

    #[test]
    fn what_is_there_already_is_not_fetched_again() {
        let plan = pull(vec![listed("a")], known(&[entry("a", "a")]), &disk(&["a"]));
        assert_eq!((plan.keep.len(), plan.fetch.len()), (1, 0));
    }

    #[test]
    fn any_difference_fetches_an_object_again() {
        let base = entry("a", "a");
        let later = DateTime::from_timestamp_millis(2_000).unwrap();
        let cases = [
            Entry { etag: "other".into(), ..base.clone() },
            Entry { size: 2, ..base.clone() },
            Entry { last_modified: later, ..base.clone() },
            Entry { path: stored_path("a"), ..base.clone() },
        ];
        for case in cases {
            let plan = pull(vec![listed("a")], known(&[case]), &disk(&["a"]));
            assert_eq!(plan.fetch.len(), 1);
        }
        let plan = pull(vec![listed("a")], known(std::slice::from_ref(&base)), &disk(&[]));
        assert_eq!(plan.fetch.len(), 1);
        let mut touched = disk(&["a"]);
        touched.files.get_mut("a").unwrap().modified = Some(later);
        assert_eq!(pull(vec![listed("a")], known(&[base]), &touched).fetch.len(), 1);
    }

    #[test]
    fn a_key_yields_to_what_is_below_it_and_to_what_is_in_its_way() {
        let all = ["a", "a/b", "dir", "file/x", "link/x"].map(listed).to_vec();
        let mut disk = disk(&["dir/old", "file"]);
        disk.foreign.insert(PathBuf::from("link"));
        let plan = pull(all, HashMap::new(), &disk);
        let expected =
            [("a", false), ("a/b", true), ("dir", false), ("file/x", false), ("link/x", false)];
        assert_eq!(paths(&plan), expected);
    }

    #[test]
    fn a_kept_key_still_makes_its_parent_yield() {
        let listing = ["a", "a/b"].map(listed).to_vec();
        let plan = pull(listing, known(&[entry("a/b", "a/b")]), &disk(&["a/b"]));
        assert_eq!(paths(&plan), [("a", false)]);
    }

    #[test]
    fn a_key_with_dots_fails_and_the_others_do_not() {
        let plan = pull(["a/../b", "c"].map(listed).to_vec(), HashMap::new(), &disk(&[]));
        assert_eq!(plan.failures[0].key, "a/../b");
        assert_eq!(paths(&plan), [("c", true)]);
    }

    #[test]
    fn leftovers_are_the_files_that_are_no_objects() {
        assert_eq!(leftovers(&disk(&["a", "b/c"]), ["a"]), ["b/c"]);
    }

    fn source(key: &str, entry: Option<Entry>) -> Source {
        Source { key: key.into(), path: key.into(), size: 1, sha256: Vec::new(), entry }
    }

    #[test]
    fn a_push_sends_checks_or_keeps() {
        let md5 = Entry { etag: "1".repeat(32), ..entry("changed", "changed") };
        let parts = Entry { etag: "1-2".into(), ..entry("parts", "parts") };
        let later = DateTime::from_timestamp_millis(2_000).unwrap();
        let rewritten = Entry { last_modified: later, ..entry("rewritten", "rewritten") };
        let sources = vec![
            source("same", Some(entry("same", "same"))),
            source("changed", Some(md5)),
            source("parts", Some(parts)),
            source("rewritten", Some(rewritten)),
            source("new", Some(entry("new", "new"))),
            source("plain", None),
            Source { size: 9, ..source("grown", None) },
        ];
        let there = ["same", "changed", "parts", "rewritten", "plain", "grown", "extra", "broken"];
        let plan = push(sources, there.map(listed).to_vec(), &HashSet::from(["broken".into()]));
        let keys = |sources: &[Source]| sources.iter().map(|s| s.key.clone()).collect::<Vec<_>>();
        assert_eq!(plan.keep, 1);
        assert_eq!(keys(&plan.send), ["changed", "new", "grown"]);
        let checked: Vec<_> = plan.check.iter().map(|(s, _)| s.key.as_str()).collect();
        assert_eq!(checked, ["parts", "rewritten", "plain"]);
        assert_eq!(plan.extra, BTreeSet::from(["extra".to_owned()]));
    }
}
