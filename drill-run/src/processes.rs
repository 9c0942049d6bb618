//! Processes that a drill has started, or that what it started has started, which are found by what they are, never by
//! an id alone.

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal,
    set_child_subreaper, waitpid,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often it is looked whether processes have ended, and the pause in between.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// A pause for what takes no longer than a system call.
const MOMENT: Duration = Duration::from_millis(2);
const MOMENTS: u32 = 10;

/// Whether processes whose parent has ended become our children.
static ADOPTS: AtomicBool = AtomicBool::new(false);

/// From here on, what our children leave running becomes our child. Only for a process that starts its children one
/// after another: see [`Left`].
pub fn adopt() {
    // Without it they are still found by their environment.
    if set_child_subreaper(Some(getpid())).is_ok() {
        ADOPTS.store(true, Ordering::SeqCst);
    }
}

/// Waits until a descriptor can be read, for so long at most. A pidfd can be read when its process has ended.
pub fn is_readable(descriptor: impl AsFd, limit: Duration) -> bool {
    let start = Instant::now();
    loop {
        let left = Timespec::try_from(limit.saturating_sub(start.elapsed())).ok();
        let mut events = [PollFd::new(&descriptor, PollFlags::IN)];
        match poll(&mut events, left.as_ref()) {
            Err(Errno::INTR) => {}
            result => return result.is_ok_and(|n| n > 0),
        }
    }
}

/// The ids of all processes.
///
/// # Errors
/// If the system does not show them.
pub fn ids() -> Result<Vec<i32>> {
    let entries = std::fs::read_dir("/proc").context("reading /proc")?.flatten();
    Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Those of these processes that are ours and have not ended. Each is looked at again when its descriptor is there, so
/// that it is no other by now.
///
/// # Errors
/// If one cannot be held.
pub fn hold(ids: &[i32], is_ours: impl Fn(i32) -> bool) -> Result<BTreeMap<i32, OwnedFd>> {
    let mut held = BTreeMap::new();
    for id in ids.iter().copied().filter(|id| is_ours(*id)) {
        let pid = Pid::from_raw(id).context("a process id")?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) if is_ours(id) && !is_readable(&pidfd, Duration::ZERO) => {
                held.insert(id, pidfd);
            }
            Ok(_) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error).with_context(|| format!("opening process {id}")),
        }
    }
    Ok(held)
}

/// A process's parent.
pub fn parent(pid: i32) -> Option<i32> {
    parent_in(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field after the name, which may hold blanks and parentheses itself.
fn parent_in(stat: &str) -> Option<i32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// A process's environment. One that is just becoming another program shows none for a moment: it is read again, so that
/// it is not taken for one that has none.
fn environment(pid: i32) -> Vec<u8> {
    for _ in 0..MOMENTS {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        // Neither the kernel's own threads nor one that has ended is a program.
        let is_program = || std::fs::read_link(format!("/proc/{pid}/exe")).is_ok();
        if !environment.is_empty() || !is_program() {
            return environment;
        }
        std::thread::sleep(MOMENT);
    }
    Vec::new()
}

/// A variable that only the processes of a drill have in their environment.
#[derive(Clone, Debug)]
pub struct Variable(Vec<u8>);

impl Variable {
    /// With this value.
    pub fn new(name: &str, value: impl AsRef<OsStr>) -> Self {
        Self([name.as_bytes(), b"=", value.as_ref().as_encoded_bytes()].concat())
    }

    fn is_of(&self, pid: i32) -> bool {
        environment(pid).split(|byte| *byte == 0).any(|it| it == self.0)
    }

    /// Ends every process that has it.
    ///
    /// # Errors
    /// If one does not end.
    pub fn end_all(&self) -> Result<()> {
        let own = getpid().as_raw_nonzero().get();
        end(|pid| pid != own && self.is_of(pid)).map(drop).with_context(|| {
            let words = String::from_utf8_lossy(&self.0);
            format!("a process with {words} does not end; to see it: ps e -A")
        })
    }
}

/// What a child of ours may leave running: processes with its variable in their environment, and, once we adopt them,
/// whatever else has become our child since.
#[derive(Clone, Debug)]
pub struct Left {
    variable: Variable,
    children: Option<BTreeSet<i32>>,
}

impl Left {
    /// Before the child is started.
    ///
    /// # Errors
    /// If the system does not show the processes.
    pub fn by(variable: Variable) -> Result<Self> {
        let adopts = ADOPTS.load(Ordering::SeqCst);
        let children = adopts.then(|| Ok::<_, anyhow::Error>(children()?.collect())).transpose()?;
        Ok(Self { variable, children })
    }

    /// Ends all of it, when the child has ended, and gives the number of processes.
    ///
    /// # Errors
    /// If one does not end.
    pub fn end(&self) -> Result<usize> {
        let own = getpid().as_raw_nonzero().get();
        let is_new = |pid: i32| {
            let known = self.children.as_ref();
            known.is_some_and(|known| !known.contains(&pid) && parent(pid) == Some(own))
        };
        let ended = end(|pid| pid != own && (is_new(pid) || self.variable.is_of(pid)));
        // Only those: somebody else waits for our other children.
        for pid in children()?.filter(|pid| is_new(*pid)) {
            let _ = waitpid(Pid::from_raw(pid), WaitOptions::NOHANG);
        }
        ended
    }
}

/// Our children, also those that have ended and that nobody has waited for.
fn children() -> Result<impl Iterator<Item = i32>> {
    let own = getpid().as_raw_nonzero().get();
    Ok(ids()?.into_iter().filter(move |pid| parent(*pid) == Some(own)))
}

/// Kills all that are ours, until there is none: each may have started another. Gives their number.
fn end(is_ours: impl Fn(i32) -> bool) -> Result<usize> {
    let mut ended = BTreeSet::new();
    let mut was_empty = false;
    for _ in 0..TRIES {
        let found = hold(&ids()?, &is_ours)?;
        if found.is_empty() {
            // One that starts another and ends while the list is read is in it no more, and the other not yet.
            if std::mem::replace(&mut was_empty, true) {
                return Ok(ended.len());
            }
            std::thread::sleep(MOMENT);
            continue;
        }
        was_empty = false;
        let start = Instant::now();
        for (pid, pidfd) in &found {
            ended.insert(*pid);
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
        let mut each =
            found.values().map(|it| is_readable(it, PAUSE.saturating_sub(start.elapsed())));
        if !each.all(|has_ended| has_ended) {
            std::thread::sleep(PAUSE);
        }
    }
    bail!("it is still there, or there again, after SIGKILL")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn parents_are_read_as_the_kernel_shows_them() {
        assert_eq!(parent_in("12 (a) S b)) S 7 12 12"), Some(7));
        assert_eq!((parent_in(""), parent_in("1 (x) S")), (None, None));
        assert_eq!(parent(std::process::id().cast_signed()).map(|_| ()), Some(()));
    }

    #[test]
    fn one_that_becomes_another_program_again_and_again_is_found_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("again");
        std::fs::write(&script, "#!/bin/sh\nexec \"$0\"\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        for _ in 0..50 {
            let mut child = Command::new(&script).env("PIPRIO_DEPLOY", dir.path()).spawn().unwrap();
            Variable::new("PIPRIO_DEPLOY", dir.path()).end_all().unwrap();
            let ended = child.try_wait().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(ended.is_some());
        }
    }

    #[test]
    fn only_processes_with_the_variable_are_ended_with_their_children() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (dir.path().join("deploy"), dir.path().join("deploy2"));
        let start = |deploy: &Path| {
            let mut command = Command::new("sh");
            command.args(["-c", "trap '' TERM; sleep 1000 & wait"]).env("PIPRIO_DEPLOY", deploy);
            command.spawn().unwrap()
        };
        let of = |deploy: &Path| Variable::new("PIPRIO_DEPLOY", deploy);
        let (mut first, mut second) = (start(&own), start(&other));
        of(&own).end_all().unwrap();
        assert!(!first.wait().unwrap().success());
        assert!(second.try_wait().unwrap().is_none());
        of(&own).end_all().unwrap();
        of(&other).end_all().unwrap();
        assert!(!second.wait().unwrap().success());
    }
}
