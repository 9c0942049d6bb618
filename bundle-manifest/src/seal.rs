//! `sums`: the seal, over every file of a bundle that the mirror's own checksums do not cover.

use crate::bundle::hash;
use crate::bundle::mirror::{self, Mirror};
use crate::bundle::tree::{self, Tree};
use anyhow::{Context, Result, bail};
use bundle_format::known::{self, Known, Written};
use bundle_format::layout::SEAL;
use bundle_format::sums::{self, Digest};
use pipe_kit::progress::Bar;
use pipe_kit::{Exit, Stop, input, text};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Prints the seal. Of the files that `known` lists, only those are read that may have changed since.
///
/// # Errors
/// [`Stop::damaged`] if the mirror's checksums or the known ones cannot be read as such, or a file is not as its
/// writer has left it; if a file cannot be read, the mirror is not whole, or the bundle holds what is neither a file
/// nor a directory.
pub fn run(dir: &Path, known: Option<&Path>) -> Result<Exit> {
    let dir = tree::resolve(dir)?;
    let known = known.map(read_known).transpose()?.unwrap_or_default();
    let tree = Tree::walk(&dir)?;
    if let Some((path, what)) = tree.odd.first_key_value() {
        bail!("{} is {what}; a bundle holds files and directories only", dir.join(path).display());
    }
    let mirror = mirror::whole(&dir, &tree)?;
    if let Some(mirror) = &mirror {
        mirror::require_listed(mirror, &tree)?;
    }
    let mirror = mirror.unwrap_or_default();
    let sealed: Vec<_> = to_seal(&tree, &mirror).collect();
    if sealed.is_empty() {
        bail!("{} holds no files; there is nothing to seal", dir.display());
    }
    if let Some(path) = known.keys().find(|path| !sealed.contains(&path.as_os_str())) {
        let (path, dir) = (text::path(path), dir.display());
        return Err(Stop::damaged(format!("{path} was written, and {dir} does not hold it")).into());
    }
    let total = sealed.iter().filter_map(|path| tree.size(path)).sum();
    let bar = pipe_kit::progress::bytes(Some(total), "sealing");
    let digest = |path: &&OsStr| match known.get(*path) {
        Some(written) => as_written(&dir.join(path), written, &bar),
        None => hash::file(&dir.join(path), |n| bar.inc(n)),
    };
    // All of them first, so that a failure prints no part of a seal.
    let digests = sealed.iter().map(digest).collect::<Result<Vec<_>>>()?;
    bar.finish_and_clear();
    let mut out = pipe_kit::output::text()?;
    for (path, digest) in sealed.iter().zip(digests) {
        let line = sums::line(&text::hex(&digest), path);
        out.write_all(&line).context("writing to standard output")?;
    }
    out.finish()?;
    pipe_kit::info!("sealed {}", text::count(sealed.len(), "file"));
    Ok(Exit::Done)
}

fn read_known(path: &Path) -> Result<Known> {
    let mut text = Vec::new();
    let failed = || format!("reading {}", path.display());
    input::open(path)?.read_to_end(&mut text).with_context(failed)?;
    let damaged = |why| Stop::damaged(format!("{} {why}", path.display())).into();
    known::parse(&text).map_err(damaged)
}

/// The checksum that the writer of a file has computed, if the file is still what was written. Its size and time show
/// that without reading it; where the time is another one, its bytes must.
///
/// # Errors
/// [`Stop::damaged`] if it is not.
fn as_written(path: &Path, written: &Written, bar: &Bar) -> Result<Digest> {
    let failed = || format!("reading {}", path.display());
    let meta = path.symlink_metadata().with_context(failed)?;
    let Written { size, modified, digest } = *written;
    if meta.len() != size {
        let (path, is) = (path.display(), meta.len());
        let why = format!("{path} has {is} bytes, and {size} were written");
        return Err(Stop::damaged(why).into());
    }
    if i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()) == modified {
        bar.inc(size);
        return Ok(digest);
    }
    if hash::file(path, |n| bar.inc(n))? != digest {
        let why = format!("{} has changed since it was written", path.display());
        return Err(Stop::damaged(why).into());
    }
    Ok(digest)
}

/// The files that the seal covers, sorted by path.
fn to_seal<'a>(tree: &'a Tree, mirror: &'a Mirror) -> impl Iterator<Item = &'a OsStr> {
    let files = tree.files.keys().enumerate();
    files.filter(|(place, path)| *path != SEAL && !mirror.lists(*place)).map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_seal_and_the_listed_objects_is_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        std::fs::create_dir_all(dir.join("minio/.obj-mirror")).unwrap();
        for path in ["SHA256SUMS", "database.sql.gz", "minio/a", "minio/b"] {
            std::fs::write(dir.join(path), "1").unwrap();
        }
        let list = format!("{}  a\n", "0".repeat(64));
        std::fs::write(dir.join("minio/.obj-mirror/SHA256SUMS"), list).unwrap();
        let tree = Tree::walk(dir).unwrap();
        let mirror = Mirror::read(dir, &tree).unwrap().unwrap();
        let sealed: Vec<_> = to_seal(&tree, &mirror).collect();
        assert_eq!(sealed, ["database.sql.gz", "minio/.obj-mirror/SHA256SUMS", "minio/b"]);
    }
}
