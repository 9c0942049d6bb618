//! Where the bytes come from.

use crate::cli::Put;
use anyhow::{Context, Result};
use pipe_kit::child::{self, Running};
use pipe_kit::{Stop, warning};
use std::fs::{File, Metadata};
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Room in a pipe, in bytes: fewer and larger reads.
const PIPE: usize = 1 << 20;

/// The input of `put`.
pub enum Input {
    /// A regular file, whose length is known and which can be read again.
    File(FileInput),
    Stream(Box<dyn Read + Send>),
    /// A stream whose last record shows that it is complete.
    Framed(Box<dyn Read + Send>),
}

/// A regular file, from a position to its end.
#[derive(Clone)]
pub struct FileInput {
    pub file: Arc<File>,
    pub shown: String,
    pub start: u64,
    pub size: u64,
    state: FileState,
}

/// What changes when a file is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    length: u64,
    modified: Option<std::time::SystemTime>,
}

impl FileState {
    fn of(meta: &Metadata) -> Self {
        Self { length: meta.len(), modified: meta.modified().ok() }
    }
}

impl FileInput {
    fn new(mut file: File, shown: String) -> Result<Self> {
        let meta = file.metadata().with_context(|| format!("reading {shown}"))?;
        let start = file.stream_position().with_context(|| format!("reading {shown}"))?;
        let size = meta.len().saturating_sub(start);
        Ok(Self { file: Arc::new(file), shown, start, size, state: FileState::of(&meta) })
    }

    /// Checks that the file is still as it was when it was opened.
    ///
    /// # Errors
    /// If it has changed.
    pub fn check_unchanged(&self) -> Result<()> {
        let meta = self.file.metadata().with_context(|| format!("reading {}", self.shown))?;
        match FileState::of(&meta) == self.state {
            true => Ok(()),
            false => anyhow::bail!("{} changed while it was read", self.shown),
        }
    }
}

/// An opened input, and the command that writes it, if one does.
pub struct Opened {
    pub input: Input,
    pub child: Option<Running>,
}

/// Opens the input that the command line names; starts its command.
///
/// # Errors
/// [`Stop::usage`] if standard input is a terminal; if a file cannot be opened, or the command not be started.
pub fn open(args: &Put) -> Result<Opened> {
    if let Some((program, arguments)) = args.command.split_first() {
        let shown = program.to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::piped());
        let mut child = child::spawn(&mut command, shown)?;
        let from = child.take_stdout().context("a pipe")?;
        widen(&from);
        return Ok(Opened { input: Input::Stream(Box::new(from)), child: Some(child) });
    }
    let named = args.file.as_deref().filter(|path| *path != Path::new("-"));
    let (file, shown) = match named {
        Some(path) => {
            let shown = path.display().to_string();
            (File::open(path).with_context(|| format!("opening {shown}"))?, shown)
        }
        None => {
            drop(pipe_kit::input::stdin()?);
            let fd = std::io::stdin().as_fd().try_clone_to_owned().context("standard input")?;
            (File::from(fd), "standard input".to_owned())
        }
    };
    Ok(Opened { input: of_file(file, shown, args)?, child: None })
}

fn of_file(file: File, shown: String, args: &Put) -> Result<Input> {
    let kind = file.metadata().with_context(|| format!("reading {shown}"))?.file_type();
    if kind.is_dir() {
        return Err(Stop::usage(format!("{shown} is a directory, not a file")).into());
    }
    if args.framed {
        widen(&file);
        return Ok(Input::Framed(Box::new(file)));
    }
    if kind.is_file() {
        return Ok(Input::File(FileInput::new(file, shown)?));
    }
    if args.sha256.is_none() && (kind.is_fifo() || kind.is_socket()) {
        warning!(
            "{shown} is a pipe: its end looks the same if its writer has failed; use `obj-mirror put … -- COMMAND`, or \
             --sha256"
        );
    }
    widen(&file);
    Ok(Input::Stream(Box::new(file)))
}

/// Lets a pipe hold more. A failure costs only speed.
fn widen(pipe: impl AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE);
}
