//! The output of a child, written to a file by us, so that every byte passes by once.

use crate::child::Running;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::ChildStdout;

const BLOCK: usize = 1024 * 1024;

/// Copies what the child prints until it has ended, and shows each piece once it is written.
///
/// # Errors
/// If the file cannot be written.
pub fn copy(
    running: &mut Running,
    file: &mut File,
    mut observe: impl FnMut(&[u8]),
) -> io::Result<()> {
    let Some(mut pipe) = running.take_stdout() else { return Ok(()) };
    // A pipe of the usual 64 KiB works as well, with more switches between the two processes.
    let _ = fcntl_setpipe_size(&pipe, BLOCK);
    let child = Pid::from_raw(running.id().cast_signed())
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let mut block = vec![0; BLOCK];
    while has_more(&pipe, child.as_ref())? {
        match pipe.read(&mut block) {
            Ok(0) => break,
            Ok(read) => {
                file.write_all(&block[..read])?;
                observe(&block[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits for the next piece, or for the end. A process that the child has left behind may keep the pipe open: once the
/// child has ended and the pipe is empty, everything that the child wrote was read.
fn has_more(pipe: &ChildStdout, child: Option<&OwnedFd>) -> io::Result<bool> {
    let Some(child) = child else { return Ok(true) };
    let mut fds = [PollFd::new(pipe, PollFlags::IN), PollFd::new(child, PollFlags::IN)];
    wait(&mut fds, None)?;
    // The pipe was looked at first, and the child may have written and ended since.
    let mut again = [PollFd::new(pipe, PollFlags::IN)];
    Ok(wait(&mut again, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
}

fn wait(fds: &mut [PollFd<'_>], limit: Option<&Timespec>) -> io::Result<usize> {
    loop {
        match poll(fds, limit) {
            Err(Errno::INTR) => {}
            ended => return Ok(ended?),
        }
    }
}
