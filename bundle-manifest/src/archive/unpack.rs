//! `unpack`: one bundle out of a tar or tar.gz, encrypted or not. It gets its name only as a whole.

use crate::archive::cipher::{self, Cipher, HEAD, Keys};
use crate::archive::staging::{LockedDirectory, StagingDirectory};
use crate::archive::tar_reader::{Entry, TarReader};
use crate::bundle::structure;
use crate::publish;
use anyhow::{Context, Result, bail};
use bundle_format::BundleName;
use bundle_format::layout::SEAL;
use flate2::bufread::MultiGzDecoder;
use pipe_kit::child::{self, Running};
use pipe_kit::{Exit, Stop, text};
use std::ffi::OsStr;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const BLOCK: usize = 256 * 1024;

type Input = Box<dyn Read + Send>;

/// Unpacks `file` into `dir` and prints the bundle's path.
///
/// # Errors
/// [`Exit::Damaged`] if it is not a complete archive of one whole bundle, [`Exit::Refused`] if that bundle is there
/// already or there is no room; if it cannot be decrypted. Nothing is kept then.
pub fn run(file: &Path, dir: &Path, keys: &Keys) -> Result<Exit> {
    let mut input = pipe_kit::input::open(file)?;
    let shown = file.display().to_string();
    let head = peek(&mut input, HEAD).with_context(|| format!("reading {shown}"))?;
    let cipher = Cipher::of(&head);
    let input: Input = Box::new(Cursor::new(head).chain(input));
    let root = LockedDirectory::prepare(dir)?;
    let staging = match cipher {
        Some(cipher) => decrypt(cipher, input, &root, keys),
        None => untar(input, &root),
    };
    let staging = staging.with_context(|| format!("unpacking {shown}"))?;
    publish(staging)?;
    root.keep();
    Ok(Exit::Done)
}

/// The first bytes, fewer only at the end of the input.
fn peek(input: &mut impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    input.take(most as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Unpacks what the decrypting program writes. Only its exit status, at the end, proves that all of it is genuine.
fn decrypt(
    cipher: Cipher,
    mut input: Input,
    root: &LockedDirectory,
    keys: &Keys,
) -> Result<StagingDirectory> {
    let program = cipher.program();
    if !cipher::is_there(Path::new(program)) {
        bail!("{}", cipher::missing(program).unwrap_or_default());
    }
    for key in keys.identities.iter().chain(&keys.passphrase_file) {
        std::fs::File::open(key).with_context(|| format!("opening {}", key.display()))?;
    }
    let mut command = cipher.open(keys)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = child::spawn_captured(&mut command, program)?;
    let mut to = running.take_stdin().context("a pipe")?;
    let from = running.take_stdout().context("a pipe")?;
    // Never joined unless it is done: after the program ended early, it may wait for input without end.
    let feeding = std::thread::spawn(move || match io::copy(&mut input, &mut to) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Some(e),
        _ => None,
    });
    let read = Arc::new(AtomicU64::new(0));
    let counted = Counted { from, read: Arc::clone(&read), ended: false };
    let (unpacked, ended) = untar_to_the_end(counted, root);
    if !ended && unpacked.is_err() {
        // Our own error came first, for example no room. Dropping the program ends it.
        return unpacked;
    }
    let finished = conclude(running, cipher, read.load(Ordering::Relaxed) > 0);
    if feeding.is_finished()
        && let Ok(Some(error)) = feeding.join()
    {
        return Err(error).context("reading it");
    }
    finished.and(unpacked)
}

fn conclude(running: Running, cipher: Cipher, had_output: bool) -> Result<()> {
    let finished = running.finish()?;
    if finished.status.success() {
        return Ok(());
    }
    Err(cipher.failed(had_output, &finished.stderr).into())
}

/// A program's output, and how much of it there was.
struct Counted<R> {
    from: R,
    read: Arc<AtomicU64>,
    ended: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        self.ended |= n == 0 && !buffer.is_empty();
        Ok(n)
    }
}

/// The same as [`untar`], and whether the program's output was read to its end.
fn untar_to_the_end<R: Read>(
    mut counted: Counted<R>,
    root: &LockedDirectory,
) -> (Result<StagingDirectory>, bool) {
    let unpacked = untar(&mut counted, root);
    if !counted.ended && unpacked.as_ref().is_err_and(is_damage) {
        // A program that finds damage stops early; its own error names the cause better.
        let _ = io::copy(&mut counted, &mut io::sink());
    }
    (unpacked, counted.ended)
}

fn is_damage(error: &anyhow::Error) -> bool {
    pipe_kit::status::of(error) == Exit::Damaged
}

/// Unpacks a tar or tar.gz.
pub(crate) fn untar(mut input: impl Read, root: &LockedDirectory) -> Result<StagingDirectory> {
    let head = peek(&mut input, 2)?;
    if head.is_empty() {
        return Err(Stop::damaged("it is empty").into());
    }
    let is_gzip = head.starts_with(&[0x1f, 0x8b]);
    let input = BufReader::with_capacity(BLOCK, Cursor::new(head).chain(input));
    if is_gzip { unpack_into(MultiGzDecoder::new(input), root) } else { unpack_into(input, root) }
}

fn unpack_into(input: impl Read, root: &LockedDirectory) -> Result<StagingDirectory> {
    let mut tar = TarReader::new(input);
    let mut staging: Option<StagingDirectory> = None;
    while let Some(entry) = tar.next().map_err(as_damage)? {
        let (name, inside) = split(&entry)?;
        if staging.is_none() {
            staging = Some(StagingDirectory::create(root, name.clone())?);
        }
        let Some(staging) = staging.as_mut() else { continue };
        if staging.name != name {
            return Err(Stop::damaged(format!(
                "it holds two bundles, {} and {}",
                staging.name.as_str(),
                name.as_str()
            ))
            .into());
        }
        let path = OsStr::from_bytes(inside);
        if entry.is_directory {
            staging.directory(path)?;
        } else {
            let written = staging.file(path, entry.size, entry.mtime, &mut tar);
            written.map_err(|e| e.downcast::<io::Error>().map_or_else(|e| e, as_damage))?;
        }
    }
    staging.ok_or_else(|| Stop::damaged("it holds no bundle").into())
}

/// The bundle that an entry belongs to, and its path in the bundle.
fn split(entry: &Entry) -> Result<(BundleName, &[u8])> {
    let path = entry.path.as_bytes();
    let end = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
    let name = BundleName::parse(OsStr::from_bytes(&path[..end]));
    // A file in the place of the bundle's directory is no part of a bundle.
    let name = name.filter(|_| end < path.len() || entry.is_directory);
    let name = name.ok_or_else(|| {
        let shown = text::path(&entry.path);
        Stop::damaged(format!(
            "it holds {shown}, which is not part of a bundle named piprio_YYYYMMDDTHHMMSSZ"
        ))
    })?;
    Ok((name, path.get(end + 1..).unwrap_or_default()))
}

/// Errors of the decoder, which carry no error number of the system, as damage.
fn as_damage(error: io::Error) -> anyhow::Error {
    if error.raw_os_error().is_some() || error.get_ref().is_some_and(|e| e.is::<Stop>()) {
        return error.into();
    }
    Stop::damaged(format!("it is not a complete archive: {error}")).into()
}

/// Gives the bundle its name, if every file matches its checksum.
fn publish(mut staging: StagingDirectory) -> Result<()> {
    let mut found = structure::read(&staging.partial)?;
    let written = std::mem::take(&mut staging.written).sorted();
    let mut changed = Vec::new();
    found.each_sum(&staging.partial, |path, sealed| {
        if written.get(&path).is_some_and(|digest| *digest != sealed) {
            changed.push(path);
        }
    })?;
    for path in changed {
        found.problems.add(path, format!("does not match its checksum in {SEAL}"));
    }
    let sealed = found.sealed;
    let target = publish::place(&staging.partial, &staging.name, &mut found, true)
        .context("nothing was kept")?;
    if !sealed {
        pipe_kit::info!(
            "{} has no seal (made by an older script): its components are present; nothing more can be checked",
            staging.name.as_str()
        );
    }
    staging.keep();
    pipe_kit::output::print(&format!("{}\n", target.display()))
}
