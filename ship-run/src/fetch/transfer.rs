//! The bytes of a sealed file, on their way to standard output or to another program.

use crate::cli::Fetch;
use crate::place::Files;
use crate::place::bucket;
use anyhow::{Context, Result, anyhow};
use bundle_format::shipped::ShippedManifest;
use pipe_kit::child::{self, Running};
use pipe_kit::text::hex;
use pipe_kit::{Exit, Stop, output, progress};
use sha2::{Digest, Sha256};
use std::io::{ErrorKind, Read, Write};
use std::process::{Command, Stdio};

const BLOCK: usize = 256 * 1024;

/// Where the bytes come from.
struct Source {
    from: Box<dyn Read>,
    /// The program that they come from, and that checks them.
    running: Option<Running>,
}

/// Writes a copy to standard output, or to the standard input of the command that is named.
///
/// # Errors
/// [`Stop::damaged`] if it is not what its description has; with the status of the command, if that fails.
pub fn run(
    files: &Files,
    file: &str,
    manifest: Option<&ShippedManifest>,
    args: &Fetch,
) -> Result<Exit> {
    if args.into.is_some() {
        return Err(Stop::usage("--into is for a snapshot of restic").into());
    }
    let fetching = || format!("fetching {}", args.copy);
    let Some((program, arguments)) = args.command.split_first() else {
        // Created before the buffered output, so that the file is emptied after the buffer is dropped.
        let empty_again = output::emptied_on_failure()?;
        let mut out = output::binary()?;
        copy(open(files, file, manifest)?, &mut out, manifest).0.with_context(fetching)?;
        out.finish()?;
        if let Some(guard) = empty_again {
            guard.disarm();
        }
        return Ok(Exit::Done);
    };
    let source = open(files, file, manifest)?;
    let shown = program.to_string_lossy().into_owned();
    let mut command = Command::new(program);
    let mut reader = child::spawn(command.args(arguments).stdin(Stdio::piped()), shown)?;
    let mut to = reader.take_stdin().context("a pipe")?;
    let (copied, is_broken) = copy(source, &mut to, manifest);
    drop(to);
    let reader = reader.finish()?;
    // A reader that ends early breaks the pipe; then its own failure is the cause.
    if reader.status.success() || !is_broken {
        copied.with_context(fetching)?;
    }
    let exit = match reader.status.code() {
        Some(0) => return Ok(Exit::Done),
        Some(2) => Exit::Usage,
        Some(4) => Exit::Damaged,
        Some(5) => Exit::Refused,
        _ => Exit::Failed,
    };
    Err(Stop::with_exit(exit, format!("{}: {}", args.copy, reader.describe(None))).into())
}

fn open(files: &Files, file: &str, manifest: Option<&ShippedManifest>) -> Result<Source> {
    match files {
        Files::Bucket(bucket) => {
            let sha256 = manifest.map(|manifest| manifest.sha256.as_str());
            let mut running = bucket.start_get(file, sha256)?;
            let from = Box::new(running.take_stdout().context("a pipe")?);
            Ok(Source { from, running: Some(running) })
        }
        Files::Directory(directory) => {
            Ok(Source { from: Box::new(directory.open(file)?), running: None })
        }
    }
}

/// Passes all bytes on, and compares them with the description. Also returns whether the reader did not take them all.
fn copy(
    source: Source,
    to: &mut impl Write,
    manifest: Option<&ShippedManifest>,
) -> (Result<()>, bool) {
    let Source { mut from, running } = source;
    let bar = progress::bytes(manifest.map(|manifest| manifest.size), "fetching");
    let (mut hash, mut block) = (Sha256::new(), vec![0; BLOCK]);
    let passed = loop {
        let read = match from.read(&mut block) {
            Ok(0) => break Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => break Err((anyhow!(error).context("reading the copy"), false)),
        };
        if let Err(error) = to.write_all(&block[..read]) {
            let is_broken = error.kind() == ErrorKind::BrokenPipe;
            break Err((anyhow!(error).context("passing the copy on"), is_broken));
        }
        hash.update(&block[..read]);
        bar.inc(read as u64);
    };
    bar.finish_and_clear();
    drop(from);
    let ended = match running {
        Some(running) => running.finish().and_then(bucket::ended),
        None => Ok(()),
    };
    let (passed, is_broken) = match passed {
        Ok(()) => (Ok(()), false),
        Err((error, is_broken)) => (Err(error), is_broken),
    };
    // A source that fails because nobody reads on is no cause.
    let result = if is_broken { passed } else { ended.and(passed) };
    let compared = || match manifest {
        Some(manifest) => compare(&hex(&hash.finalize()), manifest),
        None => Ok(()),
    };
    (result.and_then(|()| compared()), is_broken)
}

fn compare(found: &str, manifest: &ShippedManifest) -> Result<()> {
    match found == manifest.sha256 {
        true => Ok(()),
        false => {
            let expected = &manifest.sha256;
            Err(Stop::damaged(format!("its SHA-256 is {found}, not {expected}")).into())
        }
    }
}
