//! A psql that a part of the dump is fed to, and believed only when it says that it was taken.

use crate::psql::{self, Server};
use anyhow::{Context, Result};
use pipe_kit::child::{self, Running};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, channel};

/// Bytes that the pipe to psql holds, so that the next are there when it asks.
const PIPE: usize = 1 << 20;
/// What a session answers when all that it was told before is done.
const MARK: &str = "pg-snap: all done so far";
/// What psql says of a COPY, before the number of rows.
const COPIED: &str = "COPY ";

/// See the module. Dropped, it is ended; what it has done goes with the database it was done in.
pub struct Talk {
    // Closed before the process is waited for.
    stdin: Option<ChildStdin>,
    /// Of its answers those that matter. Read at all times, lest psql wait for a reader.
    answers: Receiver<String>,
    running: Option<Running>,
    token: Option<String>,
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
        let mut talk =
            Self { stdin: Some(stdin), answers: answers(stdout), running: Some(running), token };
        // A second lock on the door: psql itself then takes no command but this token's \unrestrict.
        if let Some(token) = &talk.token {
            let restrict = format!("\\restrict {token}\n");
            talk.send(restrict.as_bytes())?;
        }
        talk.send(server.session().as_bytes())?;
        talk.send(settings.as_bytes())?;
        Ok(talk)
    }

    /// Tells it something.
    ///
    /// # Errors
    /// If psql has ended, why it has.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
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
            let Ok(answer) = self.answers.recv() else { return Err(self.reason()) };
            match answer.strip_prefix(COPIED) {
                Some(rows) => copied.push(rows.parse().context("a number of rows")?),
                None => return Ok(copied),
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
        if finished.status.success() { Ok(()) } else { Err(psql::why(&finished)) }
    }

    /// Why psql has ended.
    fn reason(&mut self) -> anyhow::Error {
        drop(self.stdin.take());
        let Some(running) = self.running.take() else {
            return anyhow::anyhow!("psql has ended before");
        };
        match running.finish() {
            Ok(finished) => psql::why(&finished),
            Err(error) => error,
        }
    }
}

fn answers(stdout: ChildStdout) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(io::Result::ok) {
            let copied = line.strip_prefix(COPIED.as_bytes());
            let counts = copied.is_some_and(|rows| rows.iter().all(u8::is_ascii_digit));
            if (counts || line == MARK.as_bytes())
                && send.send(String::from_utf8_lossy(&line).into_owned()).is_err()
            {
                // Nobody listens any more; psql must be able to go on talking until it is ended.
                continue;
            }
        }
    });
    receive
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
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
