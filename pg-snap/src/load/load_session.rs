//! A psql session that executes parts of the dump, and reports which of them the server has executed.

use crate::psql::Server;
use crate::psql_session::PsqlSession;
use crate::random_token::random_token;
use crate::server_error::ServerError;
use anyhow::{Context, Result};
use pipe_kit::Stop;
use std::io::{self, BufRead, BufReader};
use std::process::ChildStdout;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// The answer that everything sent before it is done.
const MARK: &str = "pg-snap: all done so far";
/// What psql prints before the number of a statement that is done.
const DONE: &str = "pg-snap: done ";
/// What psql prints before the number of a statement that has failed, and its SQLSTATE.
const FAILED: &str = "pg-snap: failed ";
/// The first answer, before the process id of the server process.
const PID: &str = "pg-snap: server process ";
/// What psql prints after a COPY, before the number of rows.
const COPIED: &str = "COPY ";
/// How long an answer may take before the server is asked whether the session is running a statement.
const SILENCE: Duration = Duration::from_secs(5);
/// How many times in a row the server may report that the session is idle, a minute in all: the network may stall, and the
/// host may swap, for as long. Once more for so many bytes sent since the last answer, because the server does not see a
/// statement that is still on its way.
const IDLE: u64 = 12;
const BYTES: u64 = 1 << 20;

/// A session. Dropped, it is ended; what it has done is lost with the database that it was done in.
pub struct LoadSession {
    psql: PsqlSession,
    /// The answers that matter. A thread reads the output at all times, so that psql never waits.
    answers: Receiver<Answer>,
    token: Option<String>,
    /// Of the server process that serves the session.
    pid: Option<u32>,
    /// The last statement that is known to be done.
    done: u64,
    /// Rows of each COPY that was not reported yet.
    copied: Vec<u64>,
    /// The first statement that was reported as failed, and its SQLSTATE.
    failed: Option<(u64, String)>,
    /// Bytes sent since the last answer.
    unanswered: u64,
    server: Server,
}

/// A line of psql's output that matters.
enum Answer {
    Pid(u32),
    Copied(u64),
    Done(u64),
    Failed(u64, String),
    AllDone,
}

impl LoadSession {
    /// Connects, and makes psql refuse its own commands from now on, where its version can. A refused
    /// connection shows later.
    pub fn open(server: &Server, database: &str, settings: &str) -> Result<Self> {
        // Not quiet: psql then reports how many rows it has copied.
        let mut psql = PsqlSession::open(server, database, &["-A", "-t", "-v", "QUIET=off"])?;
        let answers = answers(psql.take_output()?);
        let token =
            if server.psql().version.knows_restrict() { Some(random_token()?) } else { None };
        let mut session = Self {
            psql,
            answers,
            token,
            pid: None,
            done: 0,
            copied: Vec::new(),
            failed: None,
            unanswered: 0,
            server: server.clone(),
        };
        // A second line of defence: psql itself then executes only the \unrestrict with this token.
        if let Some(token) = &session.token {
            let restrict = format!("\\restrict {token}\n");
            session.send(restrict.as_bytes())?;
        }
        session.send(format!("SELECT '{PID}' || pg_catalog.pg_backend_pid();\n").as_bytes())?;
        session.send(settings.as_bytes())?;
        Ok(session)
    }

    /// Sends a whole statement, and has psql report when it is done: see [`LoadSession::done`].
    pub fn run(&mut self, statement: &[u8], number: u64) -> Result<()> {
        self.send(statement)?;
        self.command(&format!("\\echo '{DONE}{number}'\n"))
    }

    /// Sends a whole statement, and has psql report if it fails: see [`LoadSession::settle`].
    pub fn try_run(&mut self, statement: &[u8], number: u64) -> Result<()> {
        self.send(statement)?;
        self.command(&format!("\\if :ERROR\n\\echo '{FAILED}{number}' :SQLSTATE\n\\endif\n"))
    }

    /// Sets whether psql ends at an error. Where it does not, no COPY may be sent: psql would execute the
    /// rows as statements if the server refused it.
    pub fn end_at_errors(&mut self, ends: bool) -> Result<()> {
        let value = if ends { "on" } else { "off" };
        self.command(&format!("\\set ON_ERROR_STOP {value}\n"))
    }

    /// Waits until every statement sent has been tried; returns the first that has failed since the last
    /// time, with its SQLSTATE.
    pub fn settle(&mut self) -> Result<Option<(u64, String)>> {
        // The server would refuse a query in a transaction that has failed.
        self.command(&format!("\\echo '{MARK}'\n"))?;
        self.wait_for_mark()?;
        Ok(self.failed.take())
    }

    /// Sends commands of psql itself.
    fn command(&mut self, commands: &str) -> Result<()> {
        let script = match &self.token {
            // psql executes its own commands only between these two.
            Some(token) => format!("\\unrestrict {token}\n{commands}\\restrict {token}\n"),
            None => commands.to_owned(),
        };
        self.send(script.as_bytes())
    }

    /// The number of the last statement that is known to be done.
    pub fn done(&mut self) -> u64 {
        while let Ok(answer) = self.answers.try_recv() {
            self.record(answer);
        }
        self.done
    }

    /// Waits until a statement is done.
    ///
    /// # Errors
    /// The reason why psql has ended; [`Stop::damaged`] if the session is idle and does not answer.
    pub fn wait_for(&mut self, number: u64) -> Result<()> {
        while self.done() < number {
            match self.next_answer()? {
                Some(answer) => self.record(answer),
                None => return Err(self.reason()),
            }
        }
        Ok(())
    }

    fn record(&mut self, answer: Answer) {
        match answer {
            Answer::Done(number) => self.done = number,
            Answer::Pid(pid) => self.pid = Some(pid),
            Answer::Copied(rows) => self.copied.push(rows),
            Answer::Failed(number, state) => {
                self.failed.get_or_insert((number, state));
            }
            Answer::AllDone => {}
        }
    }

    /// The next answer; none if psql has ended. A psql that does not find the end of a statement sends
    /// nothing to the server, and both wait: so the server is asked from time to time.
    fn next_answer(&mut self) -> Result<Option<Answer>> {
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
            idle = if self.is_busy()? { 0 } else { idle + 1 };
            if idle >= IDLE + self.unanswered / BYTES {
                return Err(Stop::damaged(
                    "psql does not see the end of a statement of the dump, and sent nothing to the server",
                )
                .into());
            }
        }
    }

    /// Whether the server is running a statement of the session.
    fn is_busy(&self) -> Result<bool> {
        let Some(pid) = self.pid else { return Ok(true) };
        let query = format!(
            "SELECT state FROM pg_catalog.pg_stat_activity WHERE pid = {pid} AND state LIKE 'idle%' \
             AND state_change < pg_catalog.clock_timestamp() - interval '{} seconds'",
            SILENCE.as_secs() - 1
        );
        let state = self.server.query(&self.server.maintenance, &query);
        Ok(state
            .context("a session of the load does not answer, and neither does the server")?
            .trim()
            .is_empty())
    }

    /// Sends bytes. If psql has ended, the error is its reason.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.unanswered += bytes.len() as u64;
        if self.psql.try_send(bytes)? { Ok(()) } else { Err(self.reason()) }
    }

    /// Waits until everything sent is done; returns how many rows each COPY since the last time took.
    /// If psql has ended, the error is its reason.
    pub fn sync(&mut self) -> Result<Vec<u64>> {
        self.send(format!("SELECT '{MARK}';\n").as_bytes())?;
        self.wait_for_mark()?;
        Ok(std::mem::take(&mut self.copied))
    }

    fn wait_for_mark(&mut self) -> Result<()> {
        loop {
            match self.next_answer()? {
                None => return Err(self.reason()),
                Some(Answer::AllDone) => return Ok(()),
                Some(answer) => self.record(answer),
            }
        }
    }

    /// Ends the session, and checks that psql ended without an error.
    pub fn close(mut self) -> Result<()> {
        if let Some(token) = self.token.take() {
            self.send(format!("\\unrestrict {token}\n").as_bytes())?;
        }
        let finished = self.psql.finish()?;
        if finished.status.success() { Ok(()) } else { Err(ServerError::in_full(&finished).into()) }
    }

    /// Ends psql, and returns why it has ended or, if it has not, its last error. What it had done before
    /// is recorded.
    pub fn reason(&mut self) -> anyhow::Error {
        self.psql.close_input();
        while let Ok(Some(answer)) = self.next_answer() {
            self.record(answer);
        }
        if self.psql.has_finished() {
            return ServerError::other("psql has ended before").into();
        }
        match self.psql.finish() {
            Ok(finished) => ServerError::in_full(&finished).into(),
            Err(error) => error,
        }
    }
}

fn answers(stdout: ChildStdout) -> Receiver<Answer> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(io::Result::ok) {
            // Reading continues after the receiver is gone: psql must be able to write until it is ended.
            let _ = parse_answer(&line).map(|answer| send.send(answer));
        }
    });
    receive
}

fn parse_answer(line: &[u8]) -> Option<Answer> {
    if line == MARK.as_bytes() {
        return Some(Answer::AllDone);
    }
    let line = std::str::from_utf8(line).ok()?;
    let number = |prefix: &str| line.strip_prefix(prefix)?.parse::<u64>().ok();
    number(COPIED)
        .map(Answer::Copied)
        .or_else(|| number(DONE).map(Answer::Done))
        .or_else(|| {
            let (number, state) = line.strip_prefix(FAILED)?.split_once(' ')?;
            Some(Answer::Failed(number.parse().ok()?, state.to_owned()))
        })
        .or_else(|| number(PID).and_then(|pid| u32::try_from(pid).ok()).map(Answer::Pid))
}
