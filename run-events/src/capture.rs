//! What the run and the programs that it starts write to stderr, passed on and kept.
//!
//! Where stderr is no terminal, it becomes a pipe, which every child inherits; a thread copies what comes through it to
//! where stderr went before. A terminal stays: programs draw their progress on it. Then only the runner's own lines
//! are kept.

use crate::tail::Tail;
use anyhow::{Context, Result};
use pipe_kit::mutex::lock;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::dup2_stderr;
use std::fs::File;
use std::io::{IsTerminal, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long what is still in the pipe is waited for at the end, however much a program that outlives the run writes.
const PATIENCE: Duration = Duration::from_secs(2);

/// A log that is being kept.
pub struct Capture {
    tail: Arc<Mutex<Tail>>,
    pipe: Option<Pipe>,
}

struct Pipe {
    original: OwnedFd,
    /// Closed, it ends the thread.
    end: PipeWriter,
    thread: JoinHandle<()>,
}

impl Capture {
    /// From now on, the log is kept.
    pub fn begin() -> Self {
        let tail = Arc::new(Mutex::new(Tail::default()));
        let of_lines = || {
            let copy = Arc::clone(&tail);
            pipe_kit::log::copy_to(move |line| lock(&copy).push(line.as_bytes()));
            None
        };
        let pipe = match std::io::stderr().is_terminal() {
            true => of_lines(),
            // Without a pipe, the run continues, and so does its log.
            false => Pipe::open(&tail).map_or_else(|_| of_lines(), Some),
        };
        Self { tail, pipe }
    }

    /// Everything goes where it went before; returns the end of the log.
    pub fn finish(self) -> String {
        if let Some(pipe) = self.pipe {
            pipe.close();
        }
        lock(&self.tail).text()
    }
}

impl Pipe {
    fn open(tail: &Arc<Mutex<Tail>>) -> Result<Self> {
        let original = fcntl_dupfd_cloexec(std::io::stderr(), 3).context("stderr")?;
        let out = File::from(original.try_clone().context("stderr")?);
        let (reader, writer) = pipe().context("a pipe")?;
        let (ended, end) = pipe().context("a pipe")?;
        let tail = Arc::clone(tail);
        let copy = move || copy(reader, &ended, out, &tail);
        let thread = std::thread::Builder::new().name("log".into()).spawn(copy)?;
        dup2_stderr(&writer).context("stderr")?;
        Ok(Self { original, end, thread })
    }

    fn close(self) {
        let _ = dup2_stderr(&self.original);
        drop(self.end);
        let _ = self.thread.join();
    }
}

/// Copies until nobody writes any more, or until `ended` is closed and the pipe is empty.
fn copy(mut pipe: PipeReader, ended: &PipeReader, mut out: File, tail: &Mutex<Tail>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut since: Option<Instant> = None;
    loop {
        let mut fds = [PollFd::new(&pipe, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
        if poll(&mut fds, None).is_err() {
            continue;
        }
        let [has_text, is_over] = fds.map(|fd| !fd.revents().is_empty());
        if is_over && since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return;
        }
        match has_text.then(|| pipe.read(&mut buffer)) {
            Some(Ok(0) | Err(_)) => return,
            Some(Ok(read)) => {
                // A reader that went away does not end the run.
                let _ = out.write_all(&buffer[..read]);
                lock(tail).push(&buffer[..read]);
            }
            None if is_over => return,
            None => {}
        }
    }
}
