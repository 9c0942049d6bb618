//! A Redis server of one's own.

use crate::process::{ATTEMPTS, Server, free_port, wait_until};
use crate::tools::write_private;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A running server that keeps nothing. Dropped, it is gone.
#[derive(Debug)]
pub struct Redis {
    // Before the directory: the server ends first.
    server: Option<Server>,
    port: u16,
    password: Option<String>,
    /// The port on which the nodes of a cluster reach this one.
    bus: Option<u16>,
    dir: TempDir,
}

/// Writes a server's configuration (mode 0600, for the password is in it).
///
/// # Errors
/// If it cannot be written.
pub fn write_config(file: &Path, port: u16, dir: &Path, password: Option<&str>) -> Result<()> {
    write_with(file, port, dir, password, "")
}

fn write_with(
    file: &Path,
    port: u16,
    dir: &Path,
    password: Option<&str>,
    more: &str,
) -> Result<()> {
    let mut text = format!(
        "bind 127.0.0.1\nport {port}\ndir \"{}\"\nsave \"\"\nappendonly no\ndaemonize no\n{more}",
        dir.display()
    );
    if let Some(password) = password {
        ensure!(!password.contains(['"', '\\', '\n']), "a password this file cannot hold");
        text.push_str(&format!("requirepass \"{password}\"\n"));
    }
    let _ = std::fs::remove_file(file);
    write_private(file, text.as_bytes())
}

impl Redis {
    /// A server without a password.
    ///
    /// # Errors
    /// If Redis is not installed or does not start.
    pub fn start() -> Result<Self> {
        Self::with(None)
    }

    /// A server that asks for a password, or not.
    ///
    /// # Errors
    /// If Redis is not installed or does not start.
    pub fn with(password: Option<&str>) -> Result<Self> {
        Self::of_kind(password, false)
    }

    /// The nodes of a cluster without replicas, among which all keys are divided.
    ///
    /// # Errors
    /// If one does not start, or they do not find each other.
    pub fn cluster(nodes: u32) -> Result<Vec<Self>> {
        const SLOTS: u32 = 16384;
        let all = (0..nodes).map(|_| Self::of_kind(None, true)).collect::<Result<Vec<_>>>()?;
        for (node, number) in all.iter().zip(0..) {
            let of = |number: u32| SLOTS * number / nodes;
            let (first, last) = (of(number).to_string(), (of(number + 1) - 1).to_string());
            node.command(0, &["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
            let (port, bus) = (node.port.to_string(), node.bus.unwrap_or_default().to_string());
            all[0].command(0, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
        }
        for node in &all {
            wait_until("the cluster", || {
                Ok(node.command(0, &["CLUSTER", "INFO"])?.contains("cluster_state:ok"))
            })?;
        }
        Ok(all)
    }

    fn of_kind(password: Option<&str>, in_a_cluster: bool) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("redis-").tempdir().context("a directory")?;
        let password = password.map(str::to_owned);
        let mut redis = Self { server: None, port: 0, password, bus: None, dir };
        for _ in 0..ATTEMPTS {
            redis.port = free_port()?;
            redis.bus = in_a_cluster.then(free_port).transpose()?;
            if redis.run()? {
                return Ok(redis);
            }
        }
        bail!("Redis found no free port")
    }

    fn run(&mut self) -> Result<bool> {
        let config = self.dir.path().join("redis.conf");
        let bus = self.bus.map(|port| format!("cluster-enabled yes\ncluster-port {port}\n"));
        let (bus, password) = (bus.unwrap_or_default(), self.password.as_deref());
        write_with(&config, self.port, self.dir.path(), password, &bus)?;
        let log = self.dir.path().join("log");
        let mut server = Server::spawn(Command::new("redis-server").arg(config), &log)?;
        let mut up = false;
        wait_until("Redis to start", || {
            up = server.log().contains("Ready to accept connections");
            Ok(up || server.ended()?.is_some())
        })?;
        if !up {
            let message = server.log();
            ensure!(message.contains("Address already in use"), "Redis does not start: {message}");
            return Ok(false);
        }
        self.server = Some(server);
        Ok(true)
    }

    /// Stops it; what it held is gone.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn stop(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), |mut server| server.end(Signal::TERM))
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://` with password and database number.
    #[must_use]
    pub fn url(&self, database: u32) -> String {
        let password = self.password.as_deref().map(|p| format!(":{p}@")).unwrap_or_default();
        format!("redis://{password}127.0.0.1:{}/{database}", self.port)
    }

    /// Runs one command in a database; see [`command`].
    ///
    /// # Errors
    /// If the server does not answer or answers an error.
    pub fn command(&self, database: u32, words: &[&str]) -> Result<String> {
        command(self.port, self.password.as_deref(), database, words)
    }
}

/// Runs one command and gives its answer as text: a status, a number, a string (empty for none), the
/// elements of a list a line each.
///
/// # Errors
/// If the server does not answer or answers an error.
pub fn command(port: u16, password: Option<&str>, database: u32, words: &[&str]) -> Result<String> {
    command_at(("127.0.0.1", port), password, database, words)
}

/// The same, of a server on another host.
///
/// # Errors
/// If the server does not answer or answers an error.
pub fn command_at(
    address: (&str, u16),
    password: Option<&str>,
    database: u32,
    words: &[&str],
) -> Result<String> {
    let stream = TcpStream::connect(address).context("connecting to Redis")?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).context("a socket")?;
    let mut reader = BufReader::new(stream);
    if let Some(password) = password {
        ask(&mut reader, &["AUTH", password])?;
    }
    ask(&mut reader, &["SELECT", &database.to_string()])?;
    ask(&mut reader, words)
}

fn ask(stream: &mut BufReader<TcpStream>, words: &[&str]) -> Result<String> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.get_mut().write_all(request.as_bytes()).context("writing to Redis")?;
    answer(stream)
}

fn answer(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).context("reading from Redis")?;
    let line = line.trim_end();
    let Some((kind, rest)) = line.split_at_checked(1) else { bail!("Redis hung up") };
    match kind {
        "+" | ":" => Ok(rest.to_owned()),
        "$" if rest == "-1" => Ok(String::new()),
        "$" => {
            let mut text = vec![0; rest.parse::<usize>()? + 2];
            stream.read_exact(&mut text).context("reading from Redis")?;
            text.truncate(text.len() - 2);
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        "*" => {
            let elements: Result<Vec<String>> =
                (0..rest.parse::<usize>()?).map(|_| answer(stream)).collect();
            Ok(elements?.join("\n"))
        }
        _ => bail!("Redis answers: {line}"),
    }
}
