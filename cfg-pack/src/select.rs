//! Which part of an archive is meant.

use crate::entry::{Entry, Kind};
use crate::rel_path::{RelPath, shown};
use anyhow::Result;
use pipe_kit::Stop;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Paths as given on the command line.
///
/// # Errors
/// [`Stop::usage`] if one leaves the deployment.
pub fn paths(given: &[OsString]) -> Result<Vec<RelPath>> {
    let parse = |path: &OsString| {
        RelPath::parse(path.as_bytes()).map_err(|why| {
            let path = shown(path.as_bytes());
            Stop::usage(format!("the path {path:?} {why}; name one relative to --root")).into()
        })
    };
    given.iter().map(parse).collect()
}

/// Which paths are meant: all, or those named.
pub struct Selection {
    all: bool,
    named: Vec<RelPath>,
    required: Vec<RelPath>,
}

/// An entry that takes part.
#[derive(Clone)]
pub struct Chosen<'a> {
    pub path: RelPath,
    /// None for a directory that the archive does not hold but that an entry lies in.
    pub entry: Option<&'a Entry>,
    /// Whether it was asked for itself, and is not just a directory above what was.
    pub own: bool,
}

impl Selection {
    /// From the command line's paths; none at all mean everything.
    ///
    /// # Errors
    /// See [`paths`].
    pub fn new(given: &[OsString], optional: &[OsString]) -> Result<Self> {
        let required = paths(given)?;
        let named = [required.clone(), paths(optional)?].concat();
        Ok(Self { all: named.is_empty(), named, required })
    }

    /// Whether a path is meant.
    pub fn takes(&self, path: &RelPath) -> bool {
        self.all || self.named.iter().any(|named| path.is_under(named))
    }

    /// The paths named on the command line.
    pub fn named(&self) -> &[RelPath] {
        &self.named
    }

    /// The required paths for which `has` is false.
    pub fn missing(&self, has: impl Fn(&RelPath) -> bool) -> Vec<&RelPath> {
        self.required.iter().filter(|path| !has(path)).collect()
    }

    /// The entries that take part, and the directories above them, by path.
    pub fn choose<'a>(&self, entries: &'a BTreeMap<RelPath, Entry>) -> Vec<Chosen<'a>> {
        let mut chosen = BTreeMap::new();
        for (path, entry) in entries.iter().filter(|(path, _)| self.takes(path)) {
            for dir in path.ancestors() {
                let entry = entries.get(&dir);
                let own = entry.is_some() && self.takes(&dir);
                let above = Chosen { path: dir.clone(), entry, own };
                chosen.entry(dir).or_insert(above);
            }
            let own = Chosen { path: path.clone(), entry: Some(entry), own: true };
            chosen.insert(path.clone(), own);
        }
        chosen.into_values().collect()
    }
}

impl Chosen<'_> {
    /// What it is in the archive.
    pub fn kind(&self) -> &Kind {
        self.entry.map_or(&Kind::Dir, |entry| &entry.kind)
    }

    /// Its permission bits: a directory without an entry of its own is the owner's alone.
    pub fn mode(&self) -> u32 {
        self.entry.map_or(0o700, |entry| entry.mode & 0o777)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extra::Extra;

    fn selection(given: &[&str], optional: &[&str]) -> Selection {
        let os = |paths: &[&str]| paths.iter().map(OsString::from).collect::<Vec<_>>();
        Selection::new(&os(given), &os(optional)).unwrap()
    }

    fn path(text: &str) -> RelPath {
        RelPath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn no_path_means_everything_and_optional_ones_alone_do_not() {
        assert!(selection(&[], &[]).takes(&path("a")));
        assert!(!selection(&[], &["b"]).takes(&path("a")));
        assert!(selection(&["a"], &[]).takes(&path("a/b")));
        assert!(!selection(&["a/b"], &[]).takes(&path("a")));
    }

    #[test]
    fn only_required_paths_can_be_missing() {
        let selection = selection(&["a"], &["b"]);
        assert_eq!(selection.missing(|_| false), [&path("a")]);
    }

    #[test]
    fn a_path_chosen_brings_the_directories_above_it() {
        let dir = Entry {
            kind: Kind::Dir,
            mode: 0o2750,
            uid: 1,
            gid: 1,
            mtime: 1,
            extra: Extra::default(),
        };
        let file = Entry { kind: Kind::File { offset: 0, size: 0 }, ..dir.clone() };
        let entries = BTreeMap::from([
            (path("a"), dir.clone()),
            (path("a/b"), file.clone()),
            (path("a/c/d"), file.clone()),
            (path("z"), file),
        ]);
        let all = |s: &Selection| {
            let chosen = s.choose(&entries);
            chosen.iter().map(|c| (c.path.to_string(), c.own, c.mode())).collect::<Vec<_>>()
        };
        let s = |t: &str| t.to_owned();
        assert_eq!(
            all(&selection(&["a/c"], &[])),
            [(s("a"), false, 0o750), (s("a/c"), false, 0o700), (s("a/c/d"), true, 0o750)]
        );
        assert_eq!(all(&selection(&[], &[])).len(), 5);
        assert_eq!(all(&selection(&[], &[]))[0], (s("a"), true, 0o750));
    }
}
