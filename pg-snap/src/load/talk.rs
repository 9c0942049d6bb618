//! A psql that a part of the dump is fed to, and believed only when it says that it was taken.

use crate::psql::Server;
use crate::server_error::ServerError;
use anyhow::{Context, Result};
use pipe_kit::Stop;
use pipe_kit::child::{self, Running};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Bytes that the pipe to psql holds, so that the next are there when it asks.
const PIPE: usize = 1 << 20;
/// What a session answers when all that it was told before is done.
const MARK: &str = "pg-snap: all done so far";
/// What psql prints before the number of a statement that is done.
const DONE: &str = "pg-snap: done ";
/// What a session answers first, before the process id of its server process.
const PID: &str = "pg-snap: server process ";
/// What psql says of a COPY, before the number of rows.
const COPIED: &str = "COPY ";
/// How long an answer may take before the server is asked whether the session is at work.
const SILENCE: Duration = Duration::from_secs(5);
/// How often in a row the server may report that the session is not at work; once more for so many bytes
/// that were sent since the last answer: a statement that is on its way shows as none.
const IDLE: u64 = 2;
const BYTES: u64 = 1 << 20;

/// See the module. Dropped, it is ended; what it has done goes with the database it was done in.
pub struct Talk {
    // Closed before the process is waited for.
    stdin: Option<ChildStdin>,
    /// Of its answers those that matter. Read at all times, lest psql wait for a reader.
    answers: Receiver<Answer>,
    running: Option<Running>,
    token: Option<String>,
    /// Of the server process that serves the session.
    pid: Option<u32>,
    /// The last statement that is known to be done.
    done: u64,
    /// Bytes sent since the last answer.
    unanswered: u64,
    server: Server,
}

/// A line of psql's output that matters.
enum Answer {
    Pid(u32),
    Copied(u64),
    Done(u64),
    AllDone,
}

impl Talk {
    /// Connects, and tells psql to take no command of its own from now on, where it knows how to.
    ///
    /// # Errors
    /// If psql cannot be started. That the server refuses shows later.
    pub fn open(server: &Server, database: &str, settings: &str) -> Result<Self> {
        let mut command = server.psql_command(database);
        // Not quiet: psql then says how many rows it has copied.
        command.args(["-A", "-t", "-v", "QUIET=off"]);
        let mut running = child::spawn_captured(&mut command, "psql")?;
        let stdin = running.take_stdin().context("psql has no input pipe")?;
        let stdout = running.take_stdout().context("psql has no output pipe")?;
        // Only a matter of speed: where a pipe may not be so large, it works all the same.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdin, PIPE);
        let token =
            if server.psql().version.knows_restrict() { Some(random_token()?) } else { None };
        let mut talk = Self {
            stdin: Some(stdin),
            answers: answers(stdout),
            running: Some(running),
            token,
            pid: None,
            done: 0,
            unanswered: 0,
            server: server.clone(),
        };
        // A second lock on the door: psql itself then takes no command but this token's \unrestrict.
        if let Some(token) = &talk.token {
            let restrict = format!("\\restrict {token}\n");
            talk.send(restrict.as_bytes())?;
        }
        talk.send(server.session().as_bytes())?;
        talk.send(format!("SELECT '{PID}' || pg_catalog.pg_backend_pid();\n").as_bytes())?;
        talk.send(settings.as_bytes())?;
        Ok(talk)
    }

    /// Sends a whole statement, and asks psql to report when it is done; see [`Talk::done`].
    ///
    /// # Errors
    /// As [`Talk::send`].
    pub fn run(&mut self, statement: &[u8], number: u64) -> Result<()> {
        self.send(statement)?;
        let echo = format!("\\echo '{DONE}{number}'\n");
        let report = match &self.token {
            // Psql takes no command of its own but between these two.
            Some(token) => format!("\\unrestrict {token}\n{echo}\\restrict {token}\n"),
            None => echo,
        };
        self.send(report.as_bytes())
    }

    /// The number of the last statement that is known to be done.
    pub fn done(&mut self) -> u64 {
        while let Ok(answer) = self.answers.try_recv() {
            self.note(answer);
        }
        self.done
    }

    /// Waits until a statement is done.
    ///
    /// # Errors
    /// If psql has ended, why it has; if the session is not at work and does not answer.
    pub fn wait_for(&mut self, number: u64) -> Result<()> {
        while self.done() < number {
            match self.answer()? {
                Some(answer) => self.note(answer),
                None => return Err(self.reason()),
            }
        }
        Ok(())
    }

    fn note(&mut self, answer: Answer) {
        match answer {
            Answer::Done(number) => self.done = number,
            Answer::Pid(pid) => self.pid = Some(pid),
            Answer::Copied(_) | Answer::AllDone => {}
        }
    }

    /// The next answer; none where psql has ended. A psql that does not see where a statement ends sends
    /// nothing to the server, so that both wait: the server is asked now and then.
    fn answer(&mut self) -> Result<Option<Answer>> {
        let mut idle = 0;
        loop {
            match self.answers.recv_timeout(SILENCE) {
                Ok(answer) => {
                    self.unanswered = 0;
                    return Ok(Some(answer));
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
            idle = if self.is_at_work()? { 0 } else { idle + 1 };
            if idle >= IDLE + self.unanswered / BYTES {
                return Err(Stop::damaged(
                    "psql does not see the end of a statement of the dump, and sent nothing to the server",
                )
                .into());
            }
        }
    }

    /// Whether the server is running a statement of the session.
    fn is_at_work(&self) -> Result<bool> {
        let Some(pid) = self.pid else { return Ok(true) };
        let ask = format!(
            "SELECT state FROM pg_catalog.pg_stat_activity WHERE pid = {pid} AND state LIKE 'idle%' \
             AND state_change < pg_catalog.clock_timestamp() - interval '{} seconds'",
            SILENCE.as_secs() - 1
        );
        let answer = self.server.query(&self.server.maintenance, &ask);
        Ok(answer
            .context("a session of the load does not answer, and neither does the server")?
            .trim()
            .is_empty())
    }

    /// Tells it something.
    ///
    /// # Errors
    /// If psql has ended, why it has.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.unanswered += bytes.len() as u64;
        let written = match &mut self.stdin {
            Some(stdin) => stdin.write_all(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(self.reason()),
            written => written.context("feeding psql"),
        }
    }

    /// Waits until all that it was told is done; gives how many rows each COPY since the last time took.
    ///
    /// # Errors
    /// If psql has ended, why it has.
    pub fn sync(&mut self) -> Result<Vec<u64>> {
        self.send(format!("SELECT '{MARK}';\n").as_bytes())?;
        let mut copied = Vec::new();
        loop {
            match self.answer()? {
                None => return Err(self.reason()),
                Some(Answer::Copied(rows)) => copied.push(rows),
                Some(Answer::AllDone) => return Ok(copied),
                Some(answer) => self.note(answer),
            }
        }
    }

    /// Ends it in an orderly way.
    ///
    /// # Errors
    /// If psql did not end well.
    pub fn close(mut self) -> Result<()> {
        if let Some(token) = self.token.take() {
            self.send(format!("\\unrestrict {token}\n").as_bytes())?;
        }
        drop(self.stdin.take());
        let finished = self.running.take().context("psql has been waited for")?.finish()?;
        if finished.status.success() { Ok(()) } else { Err(ServerError::in_full(&finished).into()) }
    }

    /// Why psql has ended; what it had done before is noted.
    fn reason(&mut self) -> anyhow::Error {
        drop(self.stdin.take());
        while let Ok(Some(answer)) = self.answer() {
            self.note(answer);
        }
        let Some(running) = self.running.take() else {
            return ServerError::other("psql has ended before").into();
        };
        match running.finish() {
            Ok(finished) => ServerError::in_full(&finished).into(),
            Err(error) => error,
        }
    }
}

fn answers(stdout: ChildStdout) -> Receiver<Answer> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(io::Result::ok) {
            // Nobody listens any more once receiving ends; psql must be able to go on until it is ended.
            let _ = answer_of(&line).map(|answer| send.send(answer));
        }
    });
    receive
}

/// What a line of psql's output means, if it matters.
fn answer_of(line: &[u8]) -> Option<Answer> {
    if line == MARK.as_bytes() {
        return Some(Answer::AllDone);
    }
    let line = std::str::from_utf8(line).ok()?;
    let number = |prefix: &str| line.strip_prefix(prefix)?.parse::<u64>().ok();
    number(COPIED)
        .map(Answer::Copied)
        .or_else(|| number(DONE).map(Answer::Done))
        .or_else(|| number(PID).and_then(|pid| u32::try_from(pid).ok()).map(Answer::Pid))
}

/// A token for `\restrict` that nobody can guess.
///
/// # Errors
/// If the system gives no random bytes.
pub fn random_token() -> Result<String> {
    let mut bytes = [0; 24];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut bytes))
        .context("reading /dev/urandom")?;
    Ok(pipe_kit::text::hex(&bytes))
}
