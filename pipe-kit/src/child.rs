//! Child processes that cannot fail unnoticed: reading their output to its end checks their exit status, and no
//! child outlives us, whether we fail or a signal ends us.

use crate::cleanup::{self, Guard};
use crate::descendants;
use crate::status::Stop;
use anyhow::{Context, Result, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// How long a child has to end after SIGTERM before it is killed, in seconds. Long enough for one
/// of our own tools to drop a half-loaded database.
const GRACE_SECONDS: i64 = 45;
/// One error of a server may be long: it repeats the statement.
const LAST_LINES: usize = 2000;

/// A running child. Dropped before [`Running::wait`], it is ended.
pub struct Running {
    child: Child,
    what: String,
    stderr: Option<JoinHandle<Vec<String>>>,
    guard: Guard,
}

/// How a child ended.
#[derive(Debug)]
pub struct Finished {
    what: String,
    /// How it ended.
    pub status: ExitStatus,
    /// The last lines it wrote to stderr, where [`spawn_captured`] was used.
    pub stderr: Vec<String>,
}

/// Starts a child whose stderr is our own.
///
/// # Errors
/// If it cannot be started. `what` names it in every error.
pub fn spawn(command: &mut Command, what: impl Into<String>) -> Result<Running> {
    start(command, what.into())
}

/// Starts a child whose stderr is kept, to be reported if the child fails.
///
/// # Errors
/// If it cannot be started.
pub fn spawn_captured(command: &mut Command, what: impl Into<String>) -> Result<Running> {
    start(command.stderr(Stdio::piped()), what.into())
}

/// Names the parent process to a child that is one of our own tools; see [`end_with_parent`].
const PARENT: &str = "PIPE_KIT_PARENT";

/// Makes the kernel end us with SIGTERM when the tool that started us is killed: its locks would be free, and its
/// operator would not see what we do.
pub(crate) fn end_with_parent() {
    let parent = || rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    let ours = std::env::var(PARENT).ok();
    if ours.is_none() || ours != parent() {
        return;
    }
    let set = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
    // The parent may have ended before the call.
    if set.is_ok() && ours != parent() {
        let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::TERM);
    }
}

fn start(command: &mut Command, what: String) -> Result<Running> {
    cleanup::halt_if_ending();
    command.env(PARENT, std::process::id().to_string());
    crate::progress::hand_on(command);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow!("{what}: {} not found", command.get_program().to_string_lossy())
        }
        _ => anyhow!(error)
            .context(format!("{what}: starting {}", command.get_program().to_string_lossy())),
    })?;
    let stderr = child.stderr.take().map(|pipe| std::thread::spawn(move || last_lines(pipe)));
    // The child is not waited for yet, so the process id is still its own.
    let pidfd = Pid::from_raw(child.id().cast_signed())
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        .map(Arc::new);
    let id = child.id();
    let guard = cleanup::on_failure(move || {
        if let Some(pidfd) = pidfd {
            end(&pidfd, id);
        }
    });
    Ok(Running { child, what, stderr, guard })
}

fn end(pidfd: &OwnedFd, id: u32) {
    // Before the signal: without their parent, they are nobody's descendants.
    descendants::continue_all(id);
    if pidfd_send_signal(pidfd, Signal::TERM).is_err() {
        return;
    }
    // A stopped process receives the signal only when it continues.
    let _ = pidfd_send_signal(pidfd, Signal::CONT);
    let wait = Timespec { tv_sec: GRACE_SECONDS, tv_nsec: 0 };
    let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
    if !matches!(poll(&mut ended, Some(&wait)), Ok(n) if n > 0) {
        let _ = pidfd_send_signal(pidfd, Signal::KILL);
    }
}

fn last_lines(pipe: ChildStderr) -> Vec<String> {
    let mut lines = std::collections::VecDeque::new();
    for line in BufReader::new(pipe).split(b'\n').map_while(io::Result::ok) {
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
    lines.into()
}

impl Running {
    /// Its process id, which stays its own until it has been waited for.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child's standard input, once, where it was piped.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The child's standard output, once, where it was piped.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for the end, however the child ends.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn finish(mut self) -> Result<Finished> {
        drop(self.child.stdin.take());
        let status = self.child.wait().with_context(|| format!("waiting for {}", self.what))?;
        self.guard.disarm();
        let stderr = self.stderr.map(|t| t.join().unwrap_or_default()).unwrap_or_default();
        cleanup::halt_if_ending();
        Ok(Finished { what: self.what, status, stderr })
    }

    /// Waits for a clean end.
    ///
    /// # Errors
    /// If it ended with any status but 0; the error has a line of its stderr.
    pub fn wait(self) -> Result<()> {
        self.finish()?.check()
    }

    /// Its standard output as a stream. The end of a child that failed is an error instead of the end of the stream.
    ///
    /// # Errors
    /// If its standard output was not piped.
    pub fn into_reader(mut self) -> Result<OutputReader> {
        let pipe = self.take_stdout().with_context(|| format!("{}: no output pipe", self.what))?;
        Ok(OutputReader { pipe, running: Some(self), words: None })
    }
}

impl Finished {
    /// # Errors
    /// If the status is not 0.
    pub fn check(self) -> Result<()> {
        if self.status.success() { Ok(()) } else { Err(self.into_error()) }
    }

    /// The failure as an error: the child, how it ended, and a line of its stderr.
    #[must_use]
    pub fn into_error(self) -> anyhow::Error {
        // The first line about an error is the cause; the lines after it are consequences.
        let is_cause = |l: &&String| {
            let l = l.to_lowercase();
            ["error", "fatal", "panic", "closed the connection"].iter().any(|word| l.contains(word))
        };
        let words = self.stderr.iter().find(is_cause).or(self.stderr.last());
        anyhow!(self.describe(words.map(String::as_str)))
    }

    /// The failure in one line, with the words of its stderr that the caller chose.
    #[must_use]
    pub fn describe(&self, words: Option<&str>) -> String {
        let how = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("ended with status {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => self.status.to_string(),
        };
        match words {
            Some(words) => format!("{} {how}: {words}", self.what),
            None => format!("{} {how}", self.what),
        }
    }
}

/// See [`Running::into_reader`].
pub struct OutputReader {
    pipe: ChildStdout,
    running: Option<Running>,
    words: Option<Words>,
}

/// Lines that children have written to stderr.
pub type Words = Arc<Mutex<Vec<String>>>;

impl OutputReader {
    /// Adds the lines on its stderr to these where it ends well: they are no errors, and may be warnings.
    #[must_use]
    pub fn keeping_words(self, words: &Words) -> Self {
        Self { words: Some(Arc::clone(words)), ..self }
    }
}

impl Read for OutputReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.pipe.read(buffer)?;
        if n == 0
            && !buffer.is_empty()
            && let Some(running) = self.running.take()
        {
            let failed = |e: anyhow::Error| {
                io::Error::other(Stop::with_exit(crate::Exit::Failed, format!("{e:#}")))
            };
            let finished = running.finish().map_err(failed)?;
            if !finished.status.success() {
                return Err(failed(finished.into_error()));
            }
            if let Some(words) = &self.words {
                words.lock().unwrap_or_else(PoisonError::into_inner).extend(finished.stderr);
            }
        }
        Ok(n)
    }
}

/// Runs a child to its end and returns its standard output; stderr is kept. Its stdin is what the caller set, or
/// ours.
///
/// # Errors
/// If it cannot be started, ends with any status but 0, or writes what is not UTF-8.
pub fn capture(command: &mut Command, what: impl Into<String>) -> Result<String> {
    let what = what.into();
    command.stdout(Stdio::piped());
    let mut text = Vec::new();
    spawn_captured(command, what.clone())?
        .into_reader()?
        .read_to_end(&mut text)
        .map_err(unwrap_stop)?;
    String::from_utf8(text).map_err(|_| anyhow!("{what}: its output is not UTF-8"))
}

/// Takes a [`Stop`] out of the `io::Error` that carried it.
fn unwrap_stop(error: io::Error) -> anyhow::Error {
    match error.downcast::<Stop>() {
        Ok(stop) => anyhow!(stop),
        Err(error) => anyhow!(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        command
    }

    #[test]
    fn half_an_output_does_not_read_as_a_whole_one() {
        let mut reader =
            spawn_captured(&mut sh("echo half; echo 'FATAL: gone' >&2; exit 3"), "the child")
                .unwrap()
                .into_reader()
                .unwrap();
        let mut text = String::new();
        let error = reader.read_to_string(&mut text).unwrap_err();
        assert_eq!(text, "half\n");
        assert_eq!(error.to_string(), "the child ended with status 3: FATAL: gone");
    }

    #[test]
    fn words_of_a_child_that_ends_well_are_kept_where_they_are_wanted() {
        let words = Words::default();
        for script in ["echo out; echo 'a warning' >&2", "echo 'FATAL: gone' >&2; exit 3"] {
            let running = spawn_captured(&mut sh(script), "the child").unwrap();
            let mut reader = running.into_reader().unwrap().keeping_words(&words);
            let _ = reader.read_to_string(&mut String::new());
        }
        assert_eq!(*words.lock().unwrap(), ["a warning"]);
    }

    #[test]
    fn a_child_killed_by_a_signal_is_a_failure() {
        let error = spawn(&mut sh("kill -9 $$"), "the child").unwrap().wait().unwrap_err();
        assert_eq!(error.to_string(), "the child was killed by signal 9");
    }

    #[test]
    fn a_dropped_child_is_ended() {
        let mut running = spawn(&mut sh("exec sleep 1000"), "the child").unwrap();
        let mut out = running.take_stdout().unwrap();
        drop(running);
        // The end of its output comes only with the end of the process.
        assert_eq!(out.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn a_stopped_child_is_ended_as_soon_as_any_other() {
        let script = "trap 'exit 0' TERM; kill -STOP $$; while :; do sleep 0.05; done";
        let mut running = spawn(&mut sh(script), "the child").unwrap();
        let mut out = running.take_stdout().unwrap();
        let stat = format!("/proc/{}/stat", running.child.id());
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let start = std::time::Instant::now();
        drop(running);
        assert_eq!(out.read(&mut [0; 1]).unwrap(), 0);
        assert!(start.elapsed().as_secs() < GRACE_SECONDS.unsigned_abs() / 2);
    }

    #[test]
    fn a_stopped_process_below_an_ended_child_does_not_stay() {
        let mut running =
            spawn(&mut sh("sh -c 'kill -STOP $$' & echo $!; wait"), "the child").unwrap();
        let mut line = String::new();
        BufReader::new(running.take_stdout().unwrap()).read_line(&mut line).unwrap();
        let stat = format!("/proc/{}/stat", line.trim());
        let wait_until = |done: &dyn Fn() -> bool| {
            (0..1000).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                done()
            })
        };
        assert!(wait_until(&|| std::fs::read_to_string(&stat).unwrap().contains(") T ")));
        drop(running);
        assert!(wait_until(&|| !std::fs::exists(&stat).unwrap()));
    }

    #[test]
    fn capture_gives_the_output() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "in\n").unwrap();
        let mut cat = sh("cat");
        cat.stdin(file.reopen().unwrap());
        assert_eq!(capture(&mut cat, "cat").unwrap(), "in\n");
        let error = capture(&mut Command::new("no-such-program"), "asking").unwrap_err();
        assert_eq!(error.to_string(), "asking: no-such-program not found");
    }
}
