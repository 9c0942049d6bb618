//! A session on a server, by a psql process that reads statements until it is closed.

use crate::psql::{self, Server};
use anyhow::{Context, Result};
use pipe_kit::child::{self, Finished, Running};
use std::io::{self, Read, Write};
use std::process::{ChildStdin, ChildStdout};

/// Bytes that a pipe to or from psql holds. The more, the less often the two wait for each other.
const PIPE: usize = 1 << 20;

/// A session. Dropped, its process is ended.
pub struct PsqlSession {
    // Closed before the process is waited for.
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    /// Output that was read ahead.
    ahead: Vec<u8>,
    running: Option<Running>,
    /// Whether each byte counts as a character.
    bytewise: bool,
}

impl PsqlSession {
    /// Connects to a database. `arguments` go to psql, after those of every call. A refused connection
    /// shows at the first answer.
    pub fn open(server: &Server, database: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = server.psql_command(database);
        command.args(arguments);
        let mut running = child::spawn_captured(&mut command, "psql")?;
        let stdin = running.take_stdin().context("psql has no input pipe")?;
        let stdout = running.take_stdout().context("psql has no output pipe")?;
        // This only makes it faster: with a smaller pipe, everything still works.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdin, PIPE);
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE);
        Ok(Self {
            stdin: Some(stdin),
            stdout: Some(stdout),
            ahead: Vec::new(),
            running: Some(running),
            bytewise: false,
        })
    }

    /// From now on, text has one character for each byte: the server does not know its encoding.
    pub fn set_bytewise(&mut self) {
        self.bytewise = true;
    }

    /// Gives the output to the caller, who must read it at all times, so that psql never waits.
    pub fn take_output(&mut self) -> Result<ChildStdout> {
        self.stdout.take().context("psql's output is read already")
    }

    /// The bytes of a text, as the server receives it.
    pub fn bytes_of(&self, text: &str) -> Vec<u8> {
        match self.bytewise {
            true => text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
            false => text.as_bytes().to_vec(),
        }
    }

    /// Sends a text, as [`PsqlSession::send`] sends bytes.
    pub fn send_text(&mut self, text: &str) -> Result<()> {
        self.send(&self.bytes_of(text))
    }

    /// Sends bytes. If psql has ended, the next answer shows that, with the reason.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.try_send(bytes).map(drop)
    }

    /// Sends bytes; false if psql has ended.
    pub fn try_send(&mut self, bytes: &[u8]) -> Result<bool> {
        let Some(stdin) = &mut self.stdin else { return Ok(false) };
        match stdin.write_all(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => written.context("writing to psql").map(|()| true),
        }
    }

    fn output(&mut self) -> Result<&mut ChildStdout> {
        self.stdout.as_mut().context("psql's output is read elsewhere")
    }

    /// Reads the next bytes of output; 0 at its end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.ahead.is_empty() {
            let output = self.output()?;
            return loop {
                match output.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read.context("reading from psql"),
                }
            };
        }
        let n = self.ahead.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.ahead[..n]);
        self.ahead.drain(..n);
        Ok(n)
    }

    /// Puts back what was read too much.
    pub fn put_back(&mut self, bytes: &[u8]) {
        self.ahead.splice(0..0, bytes.iter().copied());
    }

    /// Reads the next line, without its line feed. If psql has ended, the error is its reason.
    pub fn line(&mut self) -> Result<String> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.ahead[searched..]) {
                let rest = self.ahead.split_off(searched + at + 1);
                let mut line = std::mem::replace(&mut self.ahead, rest);
                line.pop();
                return Ok(match self.bytewise {
                    true => line.into_iter().map(char::from).collect(),
                    false => String::from_utf8_lossy(&line).into_owned(),
                });
            }
            searched = self.ahead.len();
            let mut block = [0; 8192];
            let n = self.output()?.read(&mut block).context("reading from psql")?;
            if n == 0 {
                return Err(self.reason());
            }
            self.ahead.extend_from_slice(&block[..n]);
        }
    }

    /// Ends the session, and checks that psql ended without an error.
    pub fn close(mut self) -> Result<()> {
        let finished = self.finish()?;
        if finished.status.success() { Ok(()) } else { Err(psql::why(&finished)) }
    }

    /// Closes the input, so that psql ends once it has done everything.
    pub fn close_input(&mut self) {
        drop(self.stdin.take());
    }

    /// Whether the process has been waited for.
    pub fn has_finished(&self) -> bool {
        self.running.is_none()
    }

    /// Ends the session, and waits for the process.
    pub fn finish(&mut self) -> Result<Finished> {
        self.close_input();
        if let Some(stdout) = &mut self.stdout {
            io::copy(stdout, &mut io::sink()).context("reading from psql")?;
        }
        self.running.take().context("psql has been waited for")?.finish()
    }

    /// Ends the session, and returns the reason why psql ended.
    pub fn reason(&mut self) -> anyhow::Error {
        match self.finish() {
            Ok(finished) => psql::why(&finished),
            Err(error) => error,
        }
    }
}
