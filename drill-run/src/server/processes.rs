//! The processes of a private server, which are found by what they are, never by an id alone.

use super::bounded::is_readable;
use super::record::{self, mark};
use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a server has to stop at once. By itself it kills its processes after five seconds.
const STOP: Duration = Duration::from_secs(10);
/// How long the kernel may take to end what was killed: a write to a disk that hangs comes first.
const KILL: Duration = Duration::from_secs(20);
/// How often new processes are looked for.
const ROUNDS: usize = 5;

/// What is known of the server whose processes are looked for.
struct Server {
    /// Device and inode of its data directory.
    data: Option<(u64, u64)>,
    mark: String,
}

/// Ends every process of the server of a drill's directory: at once, and with SIGKILL what does not.
///
/// # Errors
/// If one is left.
pub fn end_all(dir: &Path) -> Result<()> {
    let identity = |path: PathBuf| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    let server = Server { data: identity(record::data(dir)), mark: mark(dir) };
    for _ in 0..ROUNDS {
        let found = server.find()?;
        if found.is_empty() {
            return Ok(());
        }
        end(&found);
    }
    match server.find()?.keys().next() {
        None => Ok(()),
        Some(pid) => bail!("process {pid} of the private server in {} does not end", dir.display()),
    }
}

/// SIGQUIT makes a server stop at once, with all its processes and what it has of shared memory.
fn end(found: &BTreeMap<i32, OwnedFd>) {
    for (signal, limit) in [(Signal::QUIT, STOP), (Signal::KILL, KILL)] {
        let start = Instant::now();
        for pidfd in found.values() {
            let _ = pidfd_send_signal(pidfd, signal);
            // A stopped process receives the signal only when it continues.
            let _ = pidfd_send_signal(pidfd, Signal::CONT);
        }
        let mut ended =
            found.values().map(|it| is_readable(it, limit.saturating_sub(start.elapsed())));
        if ended.all(|ended| ended) {
            return;
        }
    }
}

impl Server {
    /// Its processes. Each is checked again when its descriptor is there, so that it is no other by now.
    fn find(&self) -> Result<BTreeMap<i32, OwnedFd>> {
        let entries = std::fs::read_dir("/proc").context("reading /proc")?.flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ids: Vec<i32> = ids.collect();
        let mut found = self.open(&ids, |pid| self.has(pid))?;
        let is_child = |pid| parent(pid).is_some_and(|parent| found.contains_key(&parent));
        let children = self.open(&ids, is_child)?;
        found.extend(children);
        Ok(found)
    }

    fn open(&self, ids: &[i32], is_ours: impl Fn(i32) -> bool) -> Result<BTreeMap<i32, OwnedFd>> {
        let mut found = BTreeMap::new();
        for id in ids.iter().copied().filter(|id| is_ours(*id)) {
            let pid = Pid::from_raw(id).context("a process id")?;
            match pidfd_open(pid, PidfdFlags::empty()) {
                Ok(pidfd) if is_ours(id) && !is_readable(&pidfd, Duration::ZERO) => {
                    found.insert(id, pidfd);
                }
                Ok(_) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error).with_context(|| format!("opening process {id}")),
            }
        }
        Ok(found)
    }

    fn has(&self, pid: i32) -> bool {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let is_data = |link: &str| {
            let meta = proc.join(link).metadata().ok();
            meta.map(|meta| (meta.dev(), meta.ino())) == self.data
        };
        let in_data = self.data.is_some() && (is_data("cwd") || is_data("fd/3"));
        // `du` and an operator's shell may stand in the directory too.
        if in_data && std::fs::read_link(proc.join("exe")).is_ok_and(|exe| is_program(&exe)) {
            return true;
        }
        let words = std::fs::read(proc.join("cmdline")).unwrap_or_default();
        let words: Vec<_> = words.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        is_program(Path::new(words[0].as_ref())) && words.iter().any(|word| *word == self.mark)
    }
}

/// Whether it is a program that we start with the data directory.
fn is_program(exe: &Path) -> bool {
    let name = exe.file_name().unwrap_or_default().to_string_lossy();
    // As the kernel shows a program whose package was updated.
    let name = name.strip_suffix(" (deleted)").unwrap_or(&name);
    matches!(name, "postgres" | "initdb" | "setpriv")
}

fn parent(pid: i32) -> Option<i32> {
    parent_in(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field after the name, which may hold blanks and parentheses itself.
fn parent_in(stat: &str) -> Option<i32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_parents_are_read_as_the_kernel_shows_them() {
        for (exe, expected) in [
            ("/usr/lib/postgresql/15/bin/postgres", true),
            ("/usr/lib/postgresql/15/bin/postgres (deleted)", true),
            ("/usr/bin/setpriv", true),
            ("/usr/bin/bash", false),
            ("/usr/bin/postgresql", false),
            ("", false),
        ] {
            assert_eq!(is_program(Path::new(exe)), expected, "{exe}");
        }
        assert_eq!(parent_in("12 (a) S b)) S 7 12 12"), Some(7));
        assert_eq!((parent_in(""), parent_in("1 (x) S")), (None, None));
        assert_eq!(parent(std::process::id().cast_signed()).map(|_| ()), Some(()));
    }

    #[test]
    fn a_process_that_stands_in_the_directory_and_is_no_server_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(record::data(dir.path())).unwrap();
        let mut sleep = std::process::Command::new("sleep");
        sleep.arg("1000").current_dir(record::data(dir.path()));
        let mut sleep = sleep.spawn().unwrap();
        end_all(dir.path()).unwrap();
        assert!(sleep.try_wait().unwrap().is_none());
        sleep.kill().unwrap();
        sleep.wait().unwrap();
    }
}
