//! The files of the mirror's own directory.

use crate::mirror::placement::OWN;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

pub fn index_path(mirror: &Path) -> PathBuf {
    mirror.join(OWN).join("index.jsonl")
}

/// The path of the objects' `SHA256SUMS`.
pub fn sums_path(mirror: &Path) -> PathBuf {
    mirror.join(OWN).join("SHA256SUMS")
}

/// While the journal exists, the mirror is incomplete.
pub fn journal_path(mirror: &Path) -> PathBuf {
    mirror.join(OWN).join("journal.jsonl")
}

/// The lines of a file that are UTF-8; none if the file does not exist.
pub fn whole_lines(path: &Path) -> Result<Vec<String>> {
    let Some(file) = open(path)? else { return Ok(Vec::new()) };
    let lines: Result<Vec<_>, _> = BufReader::new(file).split(b'\n').collect();
    let lines = lines.with_context(|| format!("reading {}", path.display()))?;
    Ok(lines.into_iter().filter_map(|line| String::from_utf8(line).ok()).collect())
}

/// Opens a regular file; none if it does not exist.
pub fn open(path: &Path) -> Result<Option<File>> {
    match path.symlink_metadata() {
        Ok(meta) if !meta.is_file() => bail!("{} is not a regular file", path.display()),
        Ok(_) => File::open(path).map(Some).with_context(|| format!("opening {}", path.display())),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e).with_context(|| format!("opening {}", path.display())),
    }
}
