//! The processes of a private server, which are found by what they are, never by an id alone.

use super::record::{self, mark};
use crate::processes::{hold, ids, is_readable, parent};
use anyhow::{Result, bail};
use rustix::process::{Signal, pidfd_send_signal};
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
    /// Its processes.
    fn find(&self) -> Result<BTreeMap<i32, OwnedFd>> {
        let ids = ids()?;
        let mut found = hold(&ids, |pid| self.has(pid))?;
        let is_child = |pid| parent(pid).is_some_and(|parent| found.contains_key(&parent));
        let children = hold(&ids, is_child)?;
        found.extend(children);
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
    matches!(name, "postgres" | "initdb" | "setpriv" | "unshare")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_as_the_kernel_shows_them() {
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
