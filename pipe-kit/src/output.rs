//! Standard output that cannot fail quietly.

use crate::cleanup::{self, Guard};
use crate::closed_pipe::ClosedPipe;
use crate::status::Stop;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;

const BUFFER: usize = 256 * 1024;

struct Stdout(File);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe => io::Error::new(e.kind(), ClosedPipe),
            _ => e,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Buffered standard output. Only [`Output::finish`] reports whether all of it was written.
pub struct Output(BufWriter<Stdout>);

impl Output {
    /// Flushes.
    ///
    /// # Errors
    /// If what is still buffered cannot be written (a full disk, a closed pipe).
    pub fn finish(mut self) -> Result<()> {
        self.0.flush().context("writing to standard output")
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn open() -> Result<Output> {
    Ok(Output(BufWriter::with_capacity(BUFFER, Stdout(unbuffered()?))))
}

/// Standard output without a buffer, for bytes that are passed on as they come.
///
/// # Errors
/// If standard output is closed.
pub fn unbuffered() -> Result<File> {
    if crate::stdout_state::was_closed() {
        anyhow::bail!("standard output is closed");
    }
    let fd = io::stdout().as_fd().try_clone_to_owned().context("standard output")?;
    Ok(File::from(fd))
}

/// Empties the file that standard output was redirected to if the run fails, so that it does not look complete. A file
/// that held something before is left alone. Call it before [`binary`], so that the buffer is dropped first.
///
/// # Errors
/// If standard output is closed.
pub fn emptied_on_failure() -> Result<Option<Guard>> {
    let out = File::from(io::stdout().as_fd().try_clone_to_owned().context("standard output")?);
    let meta = out.metadata().context("standard output")?;
    let ours = meta.is_file() && meta.len() == 0;
    Ok(ours.then(|| {
        cleanup::on_failure(move || {
            let _ = out.set_len(0);
        })
    }))
}

/// Standard output for text.
///
/// # Errors
/// If standard output is closed.
pub fn text() -> Result<Output> {
    open()
}

/// Standard output for binary data.
///
/// # Errors
/// [`Stop::usage`] if it is a terminal; if standard output is closed.
pub fn binary() -> Result<Output> {
    if io::stdout().is_terminal() {
        return Err(Stop::usage(
            "standard output is a terminal; redirect it to a file or a pipe (… > FILE)",
        )
        .into());
    }
    open()
}

/// Writes a whole text to standard output, flushed.
///
/// # Errors
/// If it cannot be written.
pub fn print(text: &str) -> Result<()> {
    let mut out = open()?;
    out.write_all(text.as_bytes()).context("writing to standard output")?;
    out.finish()
}
