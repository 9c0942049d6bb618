//! What a run will do, decided from what lies on both sides.

use crate::mirror::index::Entry;
use crate::mirror::lookup::{Known, Line};
use crate::mirror::paths::Paths;
use crate::mirror::placement::{Placer, stored_path};
use crate::mirror::tree::Tree;
use crate::s3::page::{Listed, UNKNOWN_TIME};
use std::sync::Arc;

/// An object that will be brought into a mirror.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its number in the listing.
    pub number: u32,
    /// What the listing says of it.
    pub object: Listed,
    /// Where it will lie.
    pub path: String,
    /// How.
    pub how: How,
}

/// How an object comes into a mirror.
#[derive(Clone, Debug)]
pub enum How {
    /// From the bucket.
    Fetch,
    /// From the mirror of before, of whose index this is the entry.
    Link(Box<Entry>),
    /// It is there; only its tags are asked for.
    Keep(Box<Entry>),
}

/// A listing that is not in the order of its keys.
#[derive(Debug)]
pub struct Unsorted;

impl std::fmt::Display for Unsorted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server does not list keys in byte order")
    }
}

impl std::error::Error for Unsorted {}

/// The mirror of before, of whose objects those that are unchanged need not be fetched.
pub struct Previous {
    /// Its index.
    pub known: Known,
    /// Where it is.
    pub tree: Arc<Tree>,
}

/// Plans a pull, object by object in the order of their keys. Of each it keeps some bytes only, so that
/// a bucket of millions is planned in little memory.
pub struct Planner {
    /// What an index and a journal know.
    pub known: Known,
    tree: Option<Arc<Tree>>,
    previous: Option<Previous>,
    asks_tags: bool,
    placer: Placer<(u32, Listed)>,
    last: Option<String>,
    /// Where each object's line of the index is, by its number.
    pub lines: Vec<Line>,
    /// Where the objects lie.
    pub paths: Paths,
    /// Objects that are there already.
    pub unchanged: u64,
}

impl Planner {
    /// A planner; `tree` is what there is on disk, if anything.
    #[must_use]
    pub fn new(known: Known, tree: Option<Arc<Tree>>, previous: Option<Previous>) -> Self {
        let placer = Placer::new(false);
        let (lines, paths) = (Vec::new(), Paths::default());
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

    /// The same for a disk that takes upper case for lower.
    #[must_use]
    pub fn on_case_blind_disk(mut self, is_case_blind: bool) -> Self {
        self.placer = Placer::new(is_case_blind);
        self
    }

    /// The same, with every unchanged object to be asked for its tags.
    #[must_use]
    pub fn asking_tags(mut self, asks: bool) -> Self {
        self.asks_tags = asks;
        self
    }

    /// Takes the next object of the listing; gives what is decided by it.
    ///
    /// # Errors
    /// If its key comes before the last one's.
    pub fn add(&mut self, object: Listed, mut step: impl FnMut(Step)) -> Result<(), Unsorted> {
        match &self.last {
            Some(last) if *last == object.key => return Ok(()),
            Some(last) if *last > object.key => return Err(Unsorted),
            _ => self.last = Some(object.key.clone()),
        }
        let Ok(number) = u32::try_from(self.lines.len()) else { return Err(Unsorted) };
        self.lines.push(Line::NONE);
        let key = object.key.clone();
        let mut decided = Vec::new();
        self.placer.add(&key, (number, object), |object, natural| decided.push((object, natural)));
        for ((number, object), natural) in decided {
            self.decide(number, object, natural, &mut step);
        }
        Ok(())
    }

    /// Gives what is decided by there being no further object.
    pub fn finish(&mut self, mut step: impl FnMut(Step)) {
        let mut decided = Vec::new();
        self.placer.finish(|object, natural| decided.push((object, natural)));
        for ((number, object), natural) in decided {
            self.decide(number, object, natural, &mut step);
        }
    }

    fn decide(&mut self, number: u32, object: Listed, natural: bool, step: &mut impl FnMut(Step)) {
        let current = |known: &Known, tree: &Tree| {
            let (entry, line) = known.get(&object.key)?;
            is_current(&entry, &object, tree).then_some((entry, line))
        };
        let kept = self.tree.as_ref().and_then(|tree| current(&self.known, tree));
        if let Some((entry, line)) = kept {
            self.paths.insert(&entry.path);
            if self.asks_tags {
                let path = entry.path.clone();
                step(Step { number, object, path, how: How::Keep(Box::new(entry)) });
            } else {
                self.lines[number as usize] = line;
                self.unchanged += 1;
            }
            return;
        }
        let blocked = |path: &str| self.tree.as_ref().is_some_and(|tree| tree.is_blocked(path));
        let free = natural && !blocked(&object.key);
        let path = if free { object.key.clone() } else { stored_path(&object.key) };
        self.paths.insert(&path);
        let previous = self.previous.as_ref();
        let how = match previous.and_then(|previous| current(&previous.known, &previous.tree)) {
            Some((entry, _)) => How::Link(Box::new(entry)),
            None => How::Fetch,
        };
        step(Step { number, object, path, how });
    }
}

/// Whether the file on disk is the listed object, as far as can be told without reading it.
fn is_current(entry: &Entry, object: &Listed, tree: &Tree) -> bool {
    // A listing without ETags leaves size and time to go by.
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
        fs::write(crate::mirror::files::index_path(dir.path()), text).unwrap();
        dir
    }

    fn planner(dir: &Path, previous: Option<&Path>) -> Planner {
        let tree = |dir| Arc::new(Tree::open(dir).unwrap());
        let previous =
            previous.map(|dir| Previous { known: Known::read(dir).unwrap(), tree: tree(dir) });
        Planner::new(Known::read(dir).unwrap(), Some(tree(dir)), previous)
    }

    /// The keys that are not there, each with whether it lies at its own path and whether it is linked.
    fn plan(mut planner: Planner, listing: &[Listed]) -> Vec<(String, bool, bool)> {
        let mut steps = Vec::new();
        for object in listing {
            planner.add(object.clone(), |step| steps.push(step)).unwrap();
        }
        planner.finish(|step| steps.push(step));
        assert_eq!(planner.lines.len(), planner.unchanged as usize + steps.len());
        steps.sort_by_key(|step| step.number);
        let told =
            |s: Step| (s.object.key.clone(), s.path == s.object.key, matches!(s.how, How::Link(_)));
        steps.into_iter().map(told).collect()
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
        let told = plan(planner(dir.path(), None), &all);
        let natural: Vec<_> =
            told.iter().filter(|(_, n, _)| *n).map(|(k, ..)| k.as_str()).collect();
        assert_eq!((told.len(), natural), (6, vec!["a/b"]));
    }

    #[test]
    fn a_kept_key_still_makes_its_parent_yield() {
        let dir = mirror(&["a/b"], &[Entry::sample("a/b", "a/b")]);
        let told = plan(planner(dir.path(), None), &["a", "a/b"].map(Listed::sample));
        assert_eq!(told, [("a".into(), false, false)]);
    }

    #[test]
    fn unchanged_objects_come_from_the_mirror_of_before_and_damaged_ones_do_not() {
        let before =
            mirror(&["same", "cut"], &[Entry::sample("cut", "cut"), Entry::sample("same", "same")]);
        fs::write(before.path().join("cut"), "").unwrap();
        let dir = mirror(&[], &[]);
        let told = plan(
            planner(dir.path(), Some(before.path())),
            &["cut", "new", "same"].map(Listed::sample),
        );
        let linked: Vec<_> = told.iter().map(|(_, _, linked)| *linked).collect();
        assert_eq!(linked, [false, false, true]);
    }

    #[test]
    fn a_key_that_is_listed_twice_counts_once_and_one_out_of_order_is_told() {
        let dir = mirror(&[], &[]);
        let mut planner = planner(dir.path(), None);
        for key in ["a", "a", "b"] {
            planner.add(Listed::sample(key), |_| ()).unwrap();
        }
        assert_eq!(planner.lines.len(), 2);
        assert!(planner.add(Listed::sample("a"), |_| ()).is_err());
    }
}
