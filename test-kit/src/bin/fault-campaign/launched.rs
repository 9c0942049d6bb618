//! A script on its way, in a process group of its own, so that it can be hit at any moment.

use crate::processes;
use crate::script::Script;
use crate::watch::{Ended, Watch};
use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use test_kit::deployment::Run;
use test_kit::process::wait_until;

const PAUSE: Duration = Duration::from_millis(2);
/// How long what a killed run has left running may continue before it counts as left for good.
const PATIENCE: Duration = Duration::from_secs(100);

/// A running script.
pub struct Launched {
    child: Child,
    stdout: Captured,
    stderr: Captured,
    /// Until it has ended.
    watched: Option<Watched>,
}

/// A run that an operator is notified of.
struct Watched {
    watch: Arc<Watch>,
    script: Script,
    launched: DateTime<Utc>,
}

/// A stream's text so far.
struct Captured {
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Captured {
    fn read_all(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let captured = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut piece) {
                let mut captured = captured.lock().unwrap_or_else(PoisonError::into_inner);
                captured.extend_from_slice(&piece[..n]);
            }
        });
        Self { text, reader }
    }

    fn so_far(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Launched {
    /// Starts a script, of whose run an operator is notified.
    pub fn watched(watch: &Arc<Watch>, script: Script, command: Command) -> Result<Self> {
        let watched = Watched { watch: Arc::clone(watch), script, launched: Utc::now() };
        Ok(Self { watched: Some(watched), ..Self::start(command)? })
    }

    pub fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn().context("starting a script")?;
        let stdout = Captured::read_all(child.stdout.take().context("no pipe")?);
        let stderr = Captured::read_all(child.stderr.take().context("no pipe")?);
        Ok(Self { child, stdout, stderr, watched: None })
    }

    /// The script's own process, and so its group.
    pub fn id(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub fn log(&self) -> String {
        self.stderr.so_far()
    }

    /// Waits until it has written something to stderr; false if it ended before.
    pub fn wait_for(&mut self, words: &str) -> Result<bool> {
        loop {
            let ended = self.has_ended()?;
            if self.log().contains(words) {
                return Ok(true);
            }
            if ended {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Lets it run for a while; false if it ended before.
    pub fn let_run(&mut self, time: Duration) -> Result<bool> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if self.has_ended()? {
                return Ok(false);
            }
            std::thread::sleep(PAUSE.min(until.saturating_duration_since(Instant::now())));
        }
        Ok(!self.has_ended()?)
    }

    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("a script's status")?.is_some())
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        processes::signal(self.id(), signal)
    }

    pub fn signal_group(&self, signal: Signal) -> Result<()> {
        let group = Pid::from_raw(self.id()).context("a process group")?;
        let _ = kill_process_group(group, signal);
        Ok(())
    }

    /// The script's exit status, 128 + N for signal N, whatever it has left running.
    ///
    /// # Errors
    /// If it does not end within the time, or an operator was sent something else than how it ended.
    pub fn status_within(&mut self, time: Duration) -> Result<i32> {
        let until = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait().context("a script's status")? {
                let ended = status.code().or(status.signal().map(|n| 128 + n)).unwrap_or(1);
                let is_killed = status.signal() == Some(Signal::KILL.as_raw());
                self.check((!is_killed).then_some(ended))?;
                return Ok(ended);
            }
            if Instant::now() > until {
                let left = names(&processes::of_group(self.id()));
                self.signal_group(Signal::KILL)?;
                bail!("it has not ended after {} s; there run {left}", time.as_secs());
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn check(&mut self, status: Option<i32>) -> Result<()> {
        let Some(Watched { watch, script, launched }) = self.watched.take() else { return Ok(()) };
        // What it has left running keeps the pipe open, so its end cannot be waited for.
        let logged = |text: &str| {
            let is_read = || Ok(self.log().contains(text) || self.stderr.reader.is_finished());
            wait_until("the log", is_read).is_ok() && self.log().contains(text)
        };
        watch.check(&Ended { script, launched, status, logged: &logged })
    }

    /// Waits for its end and that of all that it started.
    ///
    /// # Errors
    /// If something of it runs on.
    pub fn finish(mut self) -> Result<Run> {
        let status = self.status_within(PATIENCE)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let left = processes::of_group(self.id());
            if left.is_empty() {
                break;
            }
            if Instant::now() > until {
                self.signal_group(Signal::KILL)?;
                bail!("long after its end there still run {}", names(&left));
            }
            std::thread::sleep(PAUSE * 10);
        }
        let text = |captured: Captured| {
            let _ = captured.reader.join();
            String::from_utf8_lossy(&captured.text.lock().unwrap_or_else(PoisonError::into_inner))
                .into_owned()
        };
        Ok(Run { status, stdout: text(self.stdout), stderr: text(self.stderr) })
    }
}

fn names(processes: &[processes::Process]) -> String {
    let names: Vec<_> = processes.iter().map(|p| format!("{} ({})", p.name, p.id)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Launched {
        let mut command = Command::new("bash");
        command.args(["-c", script]);
        Launched::start(command).unwrap()
    }

    #[test]
    fn what_it_prints_is_read_while_it_runs_and_its_end_is_reported() {
        let mut run = sh("echo first >&2; sleep 0.2; echo out; exit 7");
        assert!(run.wait_for("first").unwrap());
        assert!(!run.has_ended().unwrap());
        assert!(!run.wait_for("never").unwrap());
        let run = run.finish().unwrap();
        assert_eq!((run.status, &*run.stdout, &*run.stderr), (7, "out\n", "first\n"));
    }

    #[test]
    fn a_kill_of_the_group_ends_all_of_it() {
        let mut run = sh("sleep 60 & sleep 60 & echo up >&2; wait");
        assert!(run.wait_for("up").unwrap());
        run.signal_group(Signal::KILL).unwrap();
        assert_eq!(run.finish().unwrap().status, 137);
    }
}
