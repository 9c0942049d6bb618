//! `sums`: the seal, over every file of a bundle that the mirror's own checksums do not cover.

use crate::bundle::hash;
use crate::bundle::mirror::{self, Mirror};
use crate::bundle::tree::{self, Tree};
use anyhow::{Context, Result, bail};
use bundle_format::layout::SEAL;
use bundle_format::sums;
use pipe_kit::{Exit, text};
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

/// Prints the seal.
///
/// # Errors
/// [`pipe_kit::Stop::damaged`] if the mirror's checksums cannot be read as such; if a file cannot be read, the
/// mirror is not whole, or the bundle holds what is neither a file nor a directory.
pub fn run(dir: &Path) -> Result<Exit> {
    let dir = tree::resolve(dir)?;
    let tree = Tree::walk(&dir)?;
    if let Some((path, what)) = tree.odd.first_key_value() {
        bail!("{} is {what}; a bundle holds files and directories only", dir.join(path).display());
    }
    let mirror = mirror::whole(&dir, &tree)?.unwrap_or_default();
    let sealed: Vec<_> = to_seal(&tree, &mirror).collect();
    if sealed.is_empty() {
        bail!("{} holds no files; there is nothing to seal", dir.display());
    }
    let total = sealed.iter().filter_map(|path| tree.size(path)).sum();
    let bar = pipe_kit::progress::bytes(Some(total), "sealing");
    let mut out = pipe_kit::output::text()?;
    for path in &sealed {
        let digest = hash::file(&dir.join(path), |n| bar.inc(n))?;
        let line = sums::line(&text::hex(&digest), path);
        out.write_all(&line).context("writing to standard output")?;
    }
    bar.finish_and_clear();
    out.finish()?;
    pipe_kit::info!("sealed {}", text::count(sealed.len(), "file"));
    Ok(Exit::Done)
}

/// The files that the seal covers, sorted by path.
fn to_seal<'a>(tree: &'a Tree, mirror: &'a Mirror) -> impl Iterator<Item = &'a OsStr> {
    let covered = |path: &OsStr| path == SEAL || mirror.listed.contains_key(path);
    tree.files.keys().map(std::ffi::OsString::as_os_str).filter(move |path| !covered(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_seal_and_the_listed_objects_is_sealed() {
        let mut tree = Tree::default();
        for path in
            ["SHA256SUMS", "database.sql.gz", "minio/a", "minio/b", "minio/.obj-mirror/SHA256SUMS"]
        {
            tree.files.insert(path.into(), 1);
        }
        let mut mirror = Mirror::default();
        mirror.listed.insert("minio/a".into(), [0; 32]);
        let sealed: Vec<_> = to_seal(&tree, &mirror).collect();
        assert_eq!(sealed, ["database.sql.gz", "minio/.obj-mirror/SHA256SUMS", "minio/b"]);
    }
}
