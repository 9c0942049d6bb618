//! A psql that stays: told one thing after the other, it answers on its standard output.

use crate::psql::{self, Server};
use anyhow::{Context, Result};
use pipe_kit::child::{self, Finished, Running};
use std::io::{self, Read, Write};
use std::process::{ChildStdin, ChildStdout};

/// Bytes that a pipe to or from psql holds; the more, the less often the two wait for each other.
const PIPE: usize = 1 << 20;

/// A session on a server, by a psql of its own. Dropped, it is ended.
pub struct Session {
    // Closed before the process is waited for.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    /// Read, and not yet asked for.
    ahead: Vec<u8>,
    running: Option<Running>,
    /// Whether a byte is a character.
    bytewise: bool,
}

impl Session {
    /// Connects to a database. `arguments` are psql's, beside those of every call.
    ///
    /// # Errors
    /// If psql cannot be started. That the server refuses shows at the first answer.
    pub fn open(server: &Server, database: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = server.psql_command(database);
        command.args(arguments);
        let mut running = child::spawn_captured(&mut command, "psql")?;
        let stdin = running.take_stdin().context("psql has no input pipe")?;
        let stdout = running.take_stdout().context("psql has no output pipe")?;
        // Only a matter of speed: where a pipe may not be so large, it works all the same.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdin, PIPE);
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE);
        let (stdin, running) = (Some(stdin), Some(running));
        let mut session = Self { stdin, stdout, ahead: Vec::new(), running, bytewise: false };
        session.send(server.session().as_bytes())?;
        Ok(session)
    }

    /// From now on text has a character for each byte, whatever it means: the server cannot tell.
    pub fn set_bytewise(&mut self) {
        self.bytewise = true;
    }

    /// The bytes of a text, as the server is sent it.
    pub fn bytes_of(&self, text: &str) -> Vec<u8> {
        match self.bytewise {
            true => text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
            false => text.as_bytes().to_vec(),
        }
    }

    /// Tells it a text, as [`Session::send`].
    ///
    /// # Errors
    /// If the pipe fails.
    pub fn tell(&mut self, text: &str) -> Result<()> {
        self.send(&self.bytes_of(text))
    }

    /// Tells it something. Where psql has ended, that shows at the next answer, with its reason.
    ///
    /// # Errors
    /// If the pipe fails otherwise.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        match stdin.write_all(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("writing to psql"),
        }
    }

    /// Its next bytes of output; none at its end.
    ///
    /// # Errors
    /// If the pipe fails.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.ahead.is_empty() {
            return loop {
                match self.stdout.read(buffer) {
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

    /// Its next line, without the line feed.
    ///
    /// # Errors
    /// Why psql has ended instead.
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
            let n = self.stdout.read(&mut block).context("reading from psql")?;
            if n == 0 {
                return Err(self.reason());
            }
            self.ahead.extend_from_slice(&block[..n]);
        }
    }

    /// Ends it in an orderly way.
    ///
    /// # Errors
    /// If psql did not end well, with its reason.
    pub fn close(mut self) -> Result<()> {
        let finished = self.end()?;
        if finished.status.success() { Ok(()) } else { Err(psql::why(&finished)) }
    }

    fn end(&mut self) -> Result<Finished> {
        drop(self.stdin.take());
        io::copy(&mut self.stdout, &mut io::sink()).context("reading from psql")?;
        self.running.take().context("psql has been waited for")?.finish()
    }

    /// Ends it, and gives the reason that it ended for.
    pub fn reason(&mut self) -> anyhow::Error {
        match self.end() {
            Ok(finished) => psql::why(&finished),
            Err(error) => error,
        }
    }
}
