//! `pack`: a bundle as one tar stream. Every file is checked against the seal while it is read.

use crate::archive::cipher;
use crate::archive::tar_writer::TarWriter;
use crate::bundle::mirror;
use crate::bundle::path_map::{PathList, PathMap};
use crate::bundle::problems::summary;
use crate::bundle::structure::{self, Structure};
use crate::bundle::tree::{self, Tree};
use crate::verify;
use anyhow::{Context, Result, bail};
use bundle_format::BundleName;
use bundle_format::report::BundleState;
use bundle_format::sums::Digest;
use pipe_kit::{Exit, Stop, child, text};
use sha2::{Digest as _, Sha256};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

const BLOCK: usize = 1 << 20;

/// Writes the tar to standard output, or to the standard input of the command `through`, which writes to ours.
///
/// # Errors
/// [`Exit::Damaged`] if the bundle is damaged; if it cannot be read or written, or `through` fails.
pub fn run(dir: &Path, through: &[OsString]) -> Result<Exit> {
    let (dir, given) = (tree::resolve(dir)?, dir);
    let name = BundleName::parse(tree::name(&dir)).ok_or_else(|| {
        Stop::usage(format!("{} is not named piprio_YYYYMMDDTHHMMSSZ", given.display()))
    })?;
    // Created before the buffered output, so that the file is emptied after the buffer is dropped.
    let empty_again = pipe_kit::output::emptied_on_failure()?;
    // Refuses a terminal before a long check, and for COMMAND too.
    let mut out = pipe_kit::output::binary()?;
    let mut found = structure::read(&dir)?;
    require_whole(&dir, &mut found)?;
    let mut sums = PathList::default();
    found.each_sum(&dir, |path, digest| sums.push(&path, digest))?;
    let (sums, name) = (sums.sorted(), name.as_str().to_owned());
    let bundle = Packed { dir, name, tree: found.tree, sums };
    match through.split_first() {
        None => {
            bundle.write(&mut out)?;
            out.finish()?;
        }
        Some((program, arguments)) => bundle.write_through(program, arguments)?,
    }
    if let Some(guard) = empty_again {
        guard.disarm();
    }
    pipe_kit::info!("packed {} of {}", text::count(bundle.tree.files.len(), "file"), bundle.name);
    Ok(Exit::Done)
}

/// Reports damage before anything is written, as far as a quick check finds it.
fn require_whole(dir: &Path, found: &mut Structure) -> Result<()> {
    let report = verify::quick(dir, found);
    match report.state {
        BundleState::Intact | BundleState::Unsealed => Ok(()),
        BundleState::Damaged => Err(Stop::damaged(format!(
            "{} is damaged and is not packed: {}",
            dir.display(),
            summary(&report.problems).unwrap_or_default()
        ))
        .into()),
        BundleState::Unknown => {
            bail!("{} could not be checked: {}", dir.display(), report.unchecked.join("; "))
        }
    }
}

struct Packed {
    dir: PathBuf,
    name: String,
    tree: Tree,
    sums: PathMap<Digest>,
}

impl Packed {
    fn write_through(&self, program: &OsStr, arguments: &[OsString]) -> Result<()> {
        let shown = program.to_string_lossy().into_owned();
        if !cipher::is_there(Path::new(program)) {
            bail!("{}", cipher::missing(&shown).unwrap_or(format!("{shown} is not found")));
        }
        let mut command = Command::new(program);
        let mut running = child::spawn(command.args(arguments).stdin(Stdio::piped()), shown)?;
        let mut pipe = running.take_stdin().context("a pipe")?;
        match self.write(&mut pipe) {
            Ok(()) => {
                drop(pipe);
                running.wait()
            }
            // The command has ended; its own error is the cause.
            Err(error) if is_broken_pipe(&error) => Err(running.wait().err().unwrap_or(error)),
            Err(error) => {
                // Ended before it reads the end of its input, so that it does not finish a file that is not whole.
                drop(running);
                Err(error)
            }
        }
    }

    fn write(&self, out: &mut impl Write) -> Result<()> {
        let mut tar = TarWriter::new(out);
        let bar = pipe_kit::progress::bytes(Some(self.tree.bytes()), "packing");
        for path in &self.tree.directories {
            let mtime = mtime(&std::fs::metadata(self.dir.join(path))?);
            tar.directory(&self.named(path.as_os_str()), mtime).context("writing the archive")?;
        }
        for (path, size) in self.tree.files.iter() {
            self.file(&mut tar, path, *size, &bar)?;
        }
        bar.finish_and_clear();
        tar.finish().context("writing the archive")
    }

    /// The path in the archive.
    fn named(&self, path: &OsStr) -> Vec<u8> {
        match path.as_bytes() {
            b"" => self.name.clone().into_bytes(),
            path => [self.name.as_bytes(), b"/", path].concat(),
        }
    }

    fn file(
        &self,
        tar: &mut TarWriter<impl Write>,
        path: &OsStr,
        size: u64,
        bar: &pipe_kit::progress::Bar,
    ) -> Result<()> {
        let failed = || format!("reading {}", self.dir.join(path).display());
        let file = File::open(self.dir.join(path)).with_context(failed)?;
        let mtime = mtime(&file.metadata().with_context(failed)?);
        tar.begin_file(&self.named(path), size, mtime).context("writing the archive")?;
        let mut content = file.take(size);
        let mut hasher = Sha256::new();
        let mut block = vec![0; BLOCK.min(usize::try_from(size).unwrap_or(BLOCK).max(1))];
        let mut left = size;
        while left > 0 {
            let n = match content.read(&mut block) {
                Ok(0) => return Err(self.changed(path).into()),
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e).with_context(failed),
            };
            hasher.update(&block[..n]);
            tar.content(&block[..n]).context("writing the archive")?;
            bar.inc(n as u64);
            left -= n as u64;
        }
        tar.end_file(size).context("writing the archive")?;
        let digest: [u8; 32] = hasher.finalize().into();
        match self.sums.get(path) {
            Some(sealed) if *sealed != digest => Err(self.changed(path).into()),
            _ => Ok(()),
        }
    }

    fn changed(&self, path: &OsStr) -> Stop {
        let list = if mirror::is_inside(path) { "the mirror's or the bundle's" } else { "its" };
        Stop::damaged(format!(
            "{} is damaged: {} does not match {list} checksum; the output is incomplete",
            self.name,
            text::path(path)
        ))
    }
}

fn mtime(meta: &std::fs::Metadata) -> u64 {
    let since = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}
