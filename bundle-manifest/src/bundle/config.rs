//! The entries of a bundle's config archive.

use anyhow::{Context, Result, ensure};
use bundle_format::layout::CONFIG;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path};
use tar::EntryType;

/// The most that an archive may hold, in bytes.
const MOST: u64 = 1 << 30;

/// Passes each entry that is no directory to `take`, with its path relative to the deployment. Bundles of the older
/// script may have no archive, and then there are no entries.
pub fn each(bundle: &Path, take: impl FnMut(&str, &mut dyn Entry) -> Result<()>) -> Result<()> {
    let path = bundle.join(CONFIG);
    if !path.is_file() {
        return Ok(());
    }
    let failed = || format!("reading {}", path.display());
    let file = BufReader::new(File::open(&path).with_context(failed)?);
    each_of(MultiGzDecoder::new(file).take(MOST), take).with_context(failed)
}

/// Passes each entry of an uncompressed archive to `take`.
pub fn each_of(
    text: impl Read,
    mut take: impl FnMut(&str, &mut dyn Entry) -> Result<()>,
) -> Result<()> {
    for entry in tar::Archive::new(text).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let name = name(&entry.path()?);
        ensure!(entry.size() <= MOST, "{name:?} is too large");
        take(&name, &mut entry)?;
    }
    Ok(())
}

/// One entry.
pub trait Entry {
    /// Whether it is a file without content.
    fn is_empty(&self) -> bool;
    /// The content of a file, or the target of a link.
    fn content(&mut self) -> Result<Vec<u8>>;
}

impl<R: Read> Entry for tar::Entry<'_, R> {
    fn is_empty(&self) -> bool {
        self.header().entry_type() == EntryType::Regular && self.size() == 0
    }

    fn content(&mut self) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        self.read_to_end(&mut content)?;
        if let Some(target) = self.link_name_bytes() {
            content.extend_from_slice(&target);
        }
        Ok(content)
    }
}

/// A path without `.` in it.
fn name(path: &Path) -> String {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.collect::<std::path::PathBuf>().to_string_lossy().into_owned()
}
