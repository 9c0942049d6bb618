//! The object-storage mirror inside a bundle, as far as a bundle must know it: which files the mirror's own
//! checksums cover. What the objects are, `obj-mirror` knows.

use crate::bundle::path_map;
use crate::bundle::tree::Tree;
use anyhow::{Context, Result, anyhow, bail};
use bundle_format::layout::{MIRROR, MIRROR_INDEX, MIRROR_JOURNAL, MIRROR_SUMS};
use bundle_format::manifest::Extent;
use bundle_format::sums::{self, Digest};
use pipe_kit::{Stop, text};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Below it are the mirror's own files.
const OWN: &[u8] = b"minio/.obj-mirror/";
/// Below it are the objects that cannot lie at their keys' paths.
const OBJECTS_ASIDE: &[u8] = b"minio/.obj-mirror/objects/";

/// The fields of the mirror's index that a bundle needs.
#[derive(Deserialize)]
struct Indexed {
    path: String,
    size: u64,
}

/// The files that the mirror's checksums cover; paths are relative to the bundle.
#[derive(Debug, Default)]
pub struct Mirror {
    /// Whether a file of the tree is listed, by its place there.
    listed: Vec<bool>,
    /// The listed paths that are not files of the tree.
    absent: BTreeSet<OsString>,
}

impl Mirror {
    /// Reads which files of the tree the mirror's checksums list. The inner error is what is wrong with them.
    pub fn read(bundle: &Path, tree: &Tree) -> Result<Result<Self, String>> {
        let mut mirror = Self { listed: vec![false; tree.files.len()], ..Self::default() };
        let read = each_sum(bundle, |path, _| match tree.files.place(&path) {
            Some(place) => !std::mem::replace(&mut mirror.listed[place], true),
            None => mirror.absent.insert(path),
        })?;
        Ok(read.map(|()| mirror))
    }

    /// Whether the file at this place of the tree is listed.
    pub fn lists(&self, place: usize) -> bool {
        self.listed.get(place).copied().unwrap_or_default()
    }

    /// The objects' number and bytes, as their files lie on disk.
    pub fn extent(&self, tree: &Tree) -> Extent {
        let sizes = tree.files.values().enumerate();
        let listed = sizes.filter(|(place, _)| self.lists(*place)).map(|(_, size)| *size);
        let absent = self.absent.len() as u64;
        let (objects, bytes) = listed.fold((absent, 0), |(n, sum), size| (n + 1, sum + size));
        Extent { objects, bytes }
    }

    /// Files where objects lie that are none: `obj-mirror verify` would find the mirror damaged.
    pub fn unlisted<'a>(&'a self, tree: &'a Tree) -> impl Iterator<Item = &'a OsStr> {
        let is_aside = |path: &OsStr| path.as_bytes().starts_with(OBJECTS_ASIDE);
        let is_own = |path: &OsStr| path.as_bytes().starts_with(OWN);
        tree.files
            .keys()
            .enumerate()
            .filter(move |(_, path)| is_inside(path) && (!is_own(path) || is_aside(path)))
            .filter(|(place, _)| !self.lists(*place))
            .map(|(_, path)| path)
    }

    /// Listed files that are not there.
    pub fn missing<'a>(&'a self, tree: &'a Tree) -> impl Iterator<Item = &'a OsStr> {
        self.absent.iter().filter(|path| !tree.odd.contains_key(*path)).map(OsString::as_os_str)
    }

    /// Whether a listed path that is not a file lies below a directory.
    pub fn lacks_below(&self, dir: &Path) -> bool {
        let below = path_map::below(dir);
        let first = self.absent.range(below.clone()..).next();
        first.is_some_and(|path| path.as_bytes().starts_with(below.as_bytes()))
    }
}

/// Passes each file that the mirror's checksums list, and its checksum, to `take`, which answers whether it has not
/// had that path before. The inner error is what is wrong with them.
pub fn each_sum(
    bundle: &Path,
    mut take: impl FnMut(OsString, Digest) -> bool,
) -> Result<Result<(), String>> {
    let path = bundle.join(MIRROR_SUMS);
    let failed = || format!("reading {}", path.display());
    let lines = BufReader::new(File::open(&path).with_context(failed)?);
    // The list cannot cover itself; the bundle's seal does.
    sums::each(lines, |path, digest| {
        let path = below(&path);
        path == MIRROR_SUMS || take(path, digest)
    })
    .with_context(failed)
}

/// Whether the mirror is not finished: its journal is still there.
pub fn is_unfinished(tree: &Tree) -> bool {
    tree.size(MIRROR_JOURNAL).is_some()
}

/// The mirror's checksums, where every file that they list is there; `None` where a mirror has none.
///
/// # Errors
/// [`Stop::damaged`] if they cannot be read as checksums; if a listed file is missing, or the mirror is not
/// finished.
pub fn whole(dir: &Path, tree: &Tree) -> Result<Option<Mirror>> {
    if is_unfinished(tree) {
        bail!("the mirror in {} is not finished; run obj-mirror to its end first", dir.display());
    }
    if tree.size(MIRROR_SUMS).is_none() {
        return Ok(None);
    }
    let mirror = Mirror::read(dir, tree)?
        .map_err(|why| Stop::damaged(format!("{} {why}", dir.join(MIRROR_SUMS).display())))?;
    let first = mirror.missing(tree).next().map(text::path);
    if let Some(first) = first {
        let n = mirror.missing(tree).count();
        return Err(anyhow!("{first} is missing")).with_context(|| {
            format!("the mirror lacks {} that it lists", text::count(n, "object file"))
        });
    }
    Ok(Some(mirror))
}

/// Refuses files among the objects that the mirror does not list: a restore would refuse the bundle.
pub fn require_listed(mirror: &Mirror, tree: &Tree) -> Result<()> {
    let Some(first) = mirror.unlisted(tree).next().map(text::path) else { return Ok(()) };
    let n = mirror.unlisted(tree).count();
    Err(anyhow!("{first} is not listed")).with_context(|| {
        format!("the mirror has {} that are not its objects", text::count(n, "file"))
    })
}

/// Files whose size differs from the mirror's index: path, and size in bytes by the index. Nothing where there is
/// no index. One that cannot be parsed is for `obj-mirror verify` to judge.
pub fn resized(bundle: &Path, tree: &Tree) -> Result<Vec<(OsString, u64)>> {
    if tree.size(MIRROR_INDEX).is_none() {
        return Ok(Vec::new());
    }
    let path = bundle.join(MIRROR_INDEX);
    let failed = || format!("reading {}", path.display());
    let mut resized = Vec::new();
    for line in BufReader::new(File::open(&path).with_context(failed)?).split(b'\n') {
        let Ok(indexed) = serde_json::from_slice::<Indexed>(&line.with_context(failed)?) else {
            continue;
        };
        let file = below(OsStr::new(&indexed.path));
        if tree.size(&file).is_some_and(|is| is != indexed.size) {
            resized.push((file, indexed.size));
        }
    }
    Ok(resized)
}

/// How much a mirror without checksums holds: every file below it.
pub fn plain_extent(tree: &Tree) -> Extent {
    let inside = tree.files.iter().filter(|(path, _)| is_inside(path));
    let (objects, bytes) = inside.fold((0, 0), |(n, sum), (_, size)| (n + 1, sum + size));
    Extent { objects, bytes }
}

/// Whether a file lies in the mirror.
pub fn is_inside(path: &OsStr) -> bool {
    path.as_bytes().starts_with(b"minio/")
}

fn below(path: &OsStr) -> OsString {
    let mut below = OsString::from(MIRROR);
    below.push("/");
    below.push(path);
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_never_cover_themselves() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join(bundle_format::layout::MIRROR_OWN)).unwrap();
        let sum = "0".repeat(64);
        let text = format!("{sum}  a/b\n{sum}  .obj-mirror/SHA256SUMS\n");
        std::fs::write(dir.path().join(MIRROR_SUMS), text).unwrap();
        let tree = Tree::walk(dir.path()).unwrap();
        let mirror = Mirror::read(dir.path(), &tree).unwrap().unwrap();
        assert!(mirror.listed.iter().all(|listed| !listed));
        assert_eq!(mirror.missing(&tree).collect::<Vec<_>>(), ["minio/a/b"]);
    }
}
