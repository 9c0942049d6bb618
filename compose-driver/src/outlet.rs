//! A pipe that lies in a container, for what a command there prints: it comes here in one step. The
//! engine passes it through three processes of its own.

use crate::container::Container;
use crate::docker::{self, ANSWER};
use crate::guarded;
use anyhow::{Context, Result, anyhow};
use pipe_kit::cleanup::Guard;
use pipe_kit::{Exit, Stop};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread::JoinHandle;
use std::time::Duration;

/// As much as an unprivileged user may have in a pipe.
const CAPACITY: usize = 1 << 20;
/// Bytes that a client writes to a pipe at a time.
const ONE_WRITE: u64 = 4 << 10;
/// While output flows, it is passed on in pieces of this size: each piece wakes the reader.
const PIECE: u64 = 64 << 10;
const PAUSE: Duration = Duration::from_millis(1);

/// The pipe, open at both ends: what reads does not come to its end before the command has opened it.
pub struct Outlet {
    reader: File,
    writer: OwnedFd,
    removal: Guard,
}

impl Outlet {
    /// Makes the pipe in the container's `/dev/shm`. None where that cannot be: the engine is on
    /// another machine, or we may not look into its processes.
    pub fn make(id: &str, name: &str) -> Option<Self> {
        let containers = docker::inspect(&[id.to_owned()], ANSWER).ok()?;
        let directory = shared_memory(containers.first()?).ok()?;
        Self::make_in(directory, name).ok()
    }

    fn make_in(directory: OwnedFd, name: &str) -> io::Result<Self> {
        let (file, theirs) = (name.to_owned(), directory.try_clone()?);
        // Changed by hand: the umask would take the others' right to write.
        let make = || fs::mknodat(&directory, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
        let ((), _, removal) = guarded::make(
            || make().map(|()| ((), ())),
            // Gone already, as a rule: what opens it inside removes it.
            move |()| _ = fs::unlinkat(&theirs, &file, AtFlags::empty()),
        )?;
        let (reader, writer) = open(&directory, name)?;
        Ok(Self { reader, writer, removal })
    }

    /// Passes on what comes out, from now on.
    pub fn pass_on(self, mut output: File) -> PassedOn {
        let Self { reader, writer, removal } = self;
        // Ending closes the pipe: nobody reads it any more, which the command learns by SIGPIPE.
        let thread = std::thread::spawn(move || copy_in_pieces(&reader, &mut output));
        PassedOn { thread, writer, removal }
    }
}

/// Copies a pipe to its end. After a piece of more than one write, waits once for the next piece to grow.
fn copy_in_pieces(reader: &File, output: &mut File) -> io::Result<()> {
    let mut flows = false;
    loop {
        wait_for_bytes(reader)?;
        let mut bytes = rustix::io::ioctl_fionread(reader)?;
        if bytes == 0 {
            return Ok(());
        }
        if flows && bytes < PIECE {
            std::thread::sleep(PAUSE);
            bytes = rustix::io::ioctl_fionread(reader)?;
        }
        io::copy(&mut reader.take(bytes), output)?;
        flows = bytes > ONE_WRITE;
    }
}

/// Waits until there is something to read, or nobody is left who writes.
fn wait_for_bytes(reader: &File) -> io::Result<()> {
    loop {
        match poll(&mut [PollFd::new(reader, PollFlags::IN)], None) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map(drop).map_err(io::Error::from),
        }
    }
}

/// Output that is being passed on.
pub struct PassedOn {
    thread: JoinHandle<io::Result<()>>,
    writer: OwnedFd,
    removal: Guard,
}

impl PassedOn {
    /// Waits until everything that holds the pipe inside has closed it, and all was passed on.
    ///
    /// # Errors
    /// If something was not: it is missing, even where the command ended well.
    pub fn finish(self) -> Result<()> {
        drop(self.writer);
        let result = self.thread.join();
        drop(self.removal);
        match result.map_err(|_| anyhow!("the output was not passed on"))? {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(Stop::with_exit(Exit::ClosedPipe, "the reader of the output went away").into())
            }
            result => result.context("passing on the output"),
        }
    }
}

/// The container's `/dev/shm`, reached by its first process, if that is one of this machine. Of an
/// engine elsewhere, it is the number of another process. No link of the container is followed: it
/// would lead into our own files.
fn shared_memory(container: &Container) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let process = fs::openat(CWD, format!("/proc/{}", container.pid()), flags, Mode::empty())?;
    let mut groups = String::new();
    let file = fs::openat(&process, "cgroup", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    File::from(file).read_to_string(&mut groups)?;
    if !groups.contains(&container.id) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let root = fs::openat(&process, "root", flags, Mode::empty())?;
    let dev = fs::openat(&root, "dev", flags | OFlags::NOFOLLOW, Mode::empty())?;
    Ok(fs::openat(&dev, "shm", flags | OFlags::NOFOLLOW, Mode::empty())?)
}

/// Opens both ends of a pipe. Whoever is root in the container may have put something else in its
/// place, such as a link to a file of ours: it is looked at before it is opened, and opened as what it
/// was then.
fn open(directory: &OwnedFd, name: &str) -> io::Result<(File, OwnedFd)> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = fs::openat(directory, name, flags, Mode::empty())?;
    if FileType::from_raw_mode(fs::fstat(&found)?.st_mode) != FileType::Fifo {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let path = format!("/proc/self/fd/{}", found.as_fd().as_raw_fd());
    // Without waiting for the other end.
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let reader = fs::openat(CWD, &path, OFlags::RDONLY | flags, Mode::empty())?;
    let writer = fs::openat(CWD, &path, OFlags::WRONLY | flags, Mode::empty())?;
    fs::fcntl_setfl(&reader, fs::fcntl_getfl(&reader)? - OFlags::NONBLOCK)?;
    // For the command's user, whoever that is.
    fs::fchmod(&reader, Mode::RUSR | Mode::WUSR | Mode::WGRP | Mode::WOTH)?;
    let _ = rustix::pipe::fcntl_setpipe_size(&reader, CAPACITY);
    Ok((File::from(reader), writer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    fn directory(path: &std::path::Path) -> OwnedFd {
        File::open(path).unwrap().into()
    }

    #[test]
    fn what_is_written_comes_out_and_the_pipe_is_gone_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let outlet = Outlet::make_in(directory(dir.path()), "pipe").unwrap();
        let path = dir.path().join("pipe");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o622);
        let mut result = tempfile::tempfile().unwrap();
        let passed_on = outlet.pass_on(result.try_clone().unwrap());
        let bytes = vec![7; 3_000_000];
        File::options().write(true).open(&path).unwrap().write_all(&bytes).unwrap();
        passed_on.finish().unwrap();
        let mut read = Vec::new();
        io::Seek::rewind(&mut result).unwrap();
        result.read_to_end(&mut read).unwrap();
        assert!(read == bytes && !path.exists());
    }

    #[test]
    fn what_cannot_be_passed_on_is_an_error_and_ends_the_writer() {
        let dir = tempfile::tempdir().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let full = File::options().write(true).open("/dev/full").unwrap();
        for (output, exit) in
            [(full, Exit::Failed), (File::from(OwnedFd::from(writer)), Exit::ClosedPipe)]
        {
            let outlet = Outlet::make_in(directory(dir.path()), "pipe").unwrap();
            let mut inside = File::options().write(true).open(dir.path().join("pipe")).unwrap();
            let passed_on = outlet.pass_on(output);
            while inside.write_all(&[7; 4096]).is_ok() {}
            drop(inside);
            assert_eq!(pipe_kit::status::of(&passed_on.finish().unwrap_err()), exit);
        }
    }

    #[test]
    fn what_was_put_in_the_pipes_place_is_neither_opened_nor_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (link, ours) = (dir.path().join("pipe"), dir.path().join("ours"));
        std::fs::write(&ours, "of the host").unwrap();
        std::os::unix::fs::symlink(&ours, &link).unwrap();
        let mode = ours.metadata().unwrap().permissions();
        assert!(Outlet::make_in(directory(dir.path()), "pipe").is_err());
        assert!(open(&directory(dir.path()), "pipe").is_err());
        assert!(open(&directory(dir.path()), "ours").is_err());
        assert_eq!(std::fs::read_to_string(&ours).unwrap(), "of the host");
        assert_eq!(ours.metadata().unwrap().permissions(), mode);
    }
}
