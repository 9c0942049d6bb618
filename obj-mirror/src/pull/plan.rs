//! The pull plan: decided from the listing, the index and the files on disk.

use crate::mirror::index::Entry;
use crate::mirror::journal::Lines;
use crate::mirror::lookup::{EntryLookup, LineRef};
use crate::mirror::paths::Paths;
use crate::mirror::placement::{Placer, stored_path};
use crate::mirror::tree::Tree;
use crate::s3::listed::{Listed, UNKNOWN_TIME};
use pipe_kit::mutex::lock;
use std::sync::Arc;

/// An object to be brought into the mirror.
#[derive(Clone, Debug)]
pub struct PlanItem {
    /// Its number in the listing.
    pub number: u32,
    pub object: Listed,
    /// Where it will be stored.
    pub path: String,
    pub action: PullAction,
}

/// How to bring an object into the mirror.
#[derive(Clone, Debug)]
pub enum PullAction {
    Fetch,
    /// Link it from the mirror of `--link-dest`, whose index has this entry.
    Link(Box<Entry>),
    /// It is present; only its tags are requested.
    Keep(Box<Entry>),
}

/// The listing is not sorted by key.
#[derive(Debug)]
pub struct UnsortedListing;

impl std::fmt::Display for UnsortedListing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server does not list keys in byte order")
    }
}

impl std::error::Error for UnsortedListing {}

/// The mirror of `--link-dest`.
pub struct PreviousMirror {
    pub known: EntryLookup,
    pub tree: Arc<Tree>,
}

/// Plans a pull object by object, in byte order of the keys. It keeps only a few bytes of each, so that a
/// bucket of millions of objects needs little memory.
pub struct Planner {
    pub known: EntryLookup,
    tree: Option<Arc<Tree>>,
    previous: Option<PreviousMirror>,
    asks_tags: bool,
    placer: Placer<(u32, Listed)>,
    last: Option<String>,
    /// Where each object's index line is, by its number.
    pub lines: Lines,
    /// Where the objects are stored.
    pub paths: Paths,
    pub unchanged: u64,
}

impl Planner {
    /// `tree` is the directory, if anything is in it.
    pub fn new(
        known: EntryLookup,
        tree: Option<Arc<Tree>>,
        previous: Option<PreviousMirror>,
    ) -> Self {
        let placer = Placer::new(false);
        let (lines, paths) = (Lines::default(), Paths::default());
        Self {
            known,
            tree,
            previous,
            asks_tags: false,
            placer,
            last: None,
            lines,
            paths,
            unchanged: 0,
        }
    }

    /// Where the lines of the index are noted.
    pub fn noting(mut self, lines: Lines) -> Self {
        self.lines = lines;
        self
    }

    /// Whether the filesystem ignores case.
    pub fn on_case_blind_disk(mut self, is_case_blind: bool) -> Self {
        self.placer = Placer::new(is_case_blind);
        self
    }

    /// Whether the tags of unchanged objects are requested.
    pub fn asking_tags(mut self, asks: bool) -> Self {
        self.asks_tags = asks;
        self
    }

    /// Adds the next object of the listing; `emit` receives what is now decided.
    pub fn add(
        &mut self,
        object: Listed,
        mut emit: impl FnMut(PlanItem),
    ) -> Result<(), UnsortedListing> {
        match &self.last {
            Some(last) if *last == object.key => return Ok(()),
            Some(last) if *last > object.key => return Err(UnsortedListing),
            _ => self.last = Some(object.key.clone()),
        }
        let mut lines = lock(&self.lines);
        let Ok(number) = u32::try_from(lines.len()) else { return Err(UnsortedListing) };
        lines.push(LineRef::NONE);
        drop(lines);
        let key = object.key.clone();
        let mut decided = Vec::new();
        self.placer.add(&key, (number, object), |object, natural| decided.push((object, natural)));
        for ((number, object), natural) in decided {
            self.decide(number, object, natural, &mut emit);
        }
        Ok(())
    }

    /// Decides the objects that are still held back.
    pub fn finish(&mut self, mut emit: impl FnMut(PlanItem)) {
        let mut decided = Vec::new();
        self.placer.finish(|object, natural| decided.push((object, natural)));
        for ((number, object), natural) in decided {
            self.decide(number, object, natural, &mut emit);
        }
    }

    fn decide(
        &mut self,
        number: u32,
        object: Listed,
        natural: bool,
        emit: &mut impl FnMut(PlanItem),
    ) {
        let current = |known: &EntryLookup, tree: &Tree| {
            let (entry, line) = known.get(&object.key)?;
            is_current(&entry, &object, tree).then_some((entry, line))
        };
        let kept = self.tree.as_ref().and_then(|tree| current(&self.known, tree));
        if let Some((entry, line)) = kept {
            self.paths.insert(&entry.path);
            if self.asks_tags {
                let path = entry.path.clone();
                emit(PlanItem { number, object, path, action: PullAction::Keep(Box::new(entry)) });
            } else {
                lock(&self.lines)[number as usize] = line;
                self.unchanged += 1;
            }
            return;
        }
        let blocked = |path: &str| self.tree.as_ref().is_some_and(|tree| tree.is_blocked(path));
        let free = natural && !blocked(&object.key);
        let path = if free { object.key.clone() } else { stored_path(&object.key) };
        self.paths.insert(&path);
        let previous = self.previous.as_ref();
        let action = match previous.and_then(|previous| current(&previous.known, &previous.tree)) {
            Some((entry, _)) => PullAction::Link(Box::new(entry)),
            None => PullAction::Fetch,
        };
        emit(PlanItem { number, object, path, action });
    }
}

/// Whether the file on disk is the listed object, as far as can be known without reading it.
fn is_current(entry: &Entry, object: &Listed, tree: &Tree) -> bool {
    // Without ETags, size and time must do.
    let is_named = !object.etag.is_empty() || object.modified != UNKNOWN_TIME;
    (entry.etag == object.etag || object.etag.is_empty())
        && is_named
        && entry.size == object.size
        && entry.last_modified == object.modified
        && tree.stat(&entry.path).is_some_and(|file| {
            file.size == entry.size && file.modified == Some(entry.last_modified)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::files;
    use crate::mirror::index;
    use crate::mirror::placement::OWN;
    use chrono::DateTime;
    use std::fs::{self, File, FileTimes};
    use std::path::Path;

    fn put(dir: &Path, path: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        let time = FileTimes::new().set_modified(Listed::sample("").modified.into());
        File::options().write(true).open(&path).unwrap().set_times(time).unwrap();
    }

    fn mirror(files: &[&str], entries: &[Entry]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(OWN)).unwrap();
        files.iter().for_each(|file| put(dir.path(), file));
        let text: String = entries.iter().map(|e| index::line(e).unwrap()).collect();
        fs::write(files::index_path(dir.path()), text).unwrap();
        dir
    }

    fn planner(dir: &Path, previous: Option<&Path>) -> Planner {
        let tree = |dir| Arc::new(Tree::open(dir).unwrap());
        let previous = previous
            .map(|dir| PreviousMirror { known: EntryLookup::read(dir).unwrap(), tree: tree(dir) });
        Planner::new(EntryLookup::read(dir).unwrap(), Some(tree(dir)), previous)
    }

    /// The planned keys, each with whether it is stored at its own path and whether it is linked.
    fn plan(mut planner: Planner, listing: &[Listed]) -> Vec<(String, bool, bool)> {
        let mut items = Vec::new();
        for object in listing {
            planner.add(object.clone(), |item| items.push(item)).unwrap();
        }
        planner.finish(|item| items.push(item));
        assert_eq!(lock(&planner.lines).len(), planner.unchanged as usize + items.len());
        items.sort_by_key(|item| item.number);
        let planned = |s: PlanItem| {
            (s.object.key.clone(), s.path == s.object.key, matches!(s.action, PullAction::Link(_)))
        };
        items.into_iter().map(planned).collect()
    }

    #[test]
    fn what_is_there_already_is_not_fetched_again_and_any_difference_is() {
        let base = Entry::sample("a", "a");
        let later = DateTime::from_timestamp_millis(2_000).unwrap();
        let cases = [
            (base.clone(), 0),
            (Entry { etag: "other".into(), ..base.clone() }, 1),
            (Entry { size: 2, ..base.clone() }, 1),
            (Entry { last_modified: later, ..base.clone() }, 1),
            (Entry { path: stored_path("a"), ..base.clone() }, 1),
            (Entry::sample("b", "b"), 1),
        ];
        for (case, fetched) in cases {
            let dir = mirror(&["a"], std::slice::from_ref(&case));
            assert_eq!(
                plan(planner(dir.path(), None), &[Listed::sample("a")]).len(),
                fetched,
                "{case:?}"
            );
        }
        let touched = mirror(&["a"], std::slice::from_ref(&base));
        fs::write(touched.path().join("a"), "x").unwrap();
        assert_eq!(plan(planner(touched.path(), None), &[Listed::sample("a")]).len(), 1);
        let gone = mirror(&[], &[base]);
        assert_eq!(plan(planner(gone.path(), None), &[Listed::sample("a")]).len(), 1);
    }

    #[test]
    fn a_key_yields_to_what_is_below_it_and_to_what_is_in_its_way() {
        let all = ["a", "a/../b", "a/b", "dir", "file/x", "link/x"].map(Listed::sample);
        let dir = mirror(&["dir/old", "file"], &[]);
        std::os::unix::fs::symlink("dir", dir.path().join("link")).unwrap();
        let planned = plan(planner(dir.path(), None), &all);
        let natural: Vec<_> =
            planned.iter().filter(|(_, n, _)| *n).map(|(k, ..)| k.as_str()).collect();
        assert_eq!((planned.len(), natural), (6, vec!["a/b"]));
    }

    #[test]
    fn a_kept_key_still_makes_its_parent_yield() {
        let dir = mirror(&["a/b"], &[Entry::sample("a/b", "a/b")]);
        let planned = plan(planner(dir.path(), None), &["a", "a/b"].map(Listed::sample));
        assert_eq!(planned, [("a".into(), false, false)]);
    }

    #[test]
    fn unchanged_objects_come_from_the_mirror_of_before_and_damaged_ones_do_not() {
        let before =
            mirror(&["same", "cut"], &[Entry::sample("cut", "cut"), Entry::sample("same", "same")]);
        fs::write(before.path().join("cut"), "").unwrap();
        let dir = mirror(&[], &[]);
        let planned = plan(
            planner(dir.path(), Some(before.path())),
            &["cut", "new", "same"].map(Listed::sample),
        );
        let linked: Vec<_> = planned.iter().map(|(_, _, linked)| *linked).collect();
        assert_eq!(linked, [false, false, true]);
    }

    #[test]
    fn a_key_that_is_listed_twice_counts_once_and_one_out_of_order_is_an_error() {
        let dir = mirror(&[], &[]);
        let mut planner = planner(dir.path(), None);
        for key in ["a", "a", "b"] {
            planner.add(Listed::sample(key), |_| ()).unwrap();
        }
        assert_eq!(lock(&planner.lines).len(), 2);
        assert!(planner.add(Listed::sample("a"), |_| ()).is_err());
    }
}
