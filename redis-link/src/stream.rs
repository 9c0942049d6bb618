//! Bytes to and from a server, within a time.

use anyhow::{Context, Result, anyhow};
use pipe_kit::address::share;
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The time limit has passed.
#[derive(Debug)]
pub struct NoAnswer;

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no answer in time")
    }
}

impl std::error::Error for NoAnswer {}

/// The error of a connection that failed.
pub(crate) fn broken(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::TimedOut => anyhow!(NoAnswer),
        _ => anyhow!(error),
    }
}

/// A TCP connection on which no call waits past a deadline, however slowly bytes arrive.
pub struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Timed {
    /// Connects at the first address that answers. Each has its share of the time.
    ///
    /// # Errors
    /// If none does within the time.
    pub fn connect(at: &[SocketAddr], limit: Duration) -> Result<Self> {
        let until = Instant::now() + limit;
        let mut last = None;
        for (position, address) in at.iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            let own = share(left, at.len() - position);
            if own.is_zero() {
                return Err(NoAnswer.into());
            }
            match TcpStream::connect_timeout(address, own) {
                Ok(stream) => {
                    // Commands are small, and each is waited for. Only a matter of speed.
                    let _ = stream.set_nodelay(true);
                    return Ok(Self { stream, until });
                }
                Err(error) => last = Some((address, error)),
            }
        }
        let (address, error) = last.context("no address to connect to")?;
        Err(broken(error)).with_context(|| format!("connecting to {address}"))
    }

    /// Limits the time of everything that follows, taken together.
    pub fn set_limit(&mut self, limit: Duration) {
        self.until = Instant::now() + limit;
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

/// The system reports a socket's timeout as if there were nothing to read yet.
fn in_time(done: io::Result<usize>) -> io::Result<usize> {
    match done {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
        done => done,
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        in_time(self.stream.read(buffer))
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        in_time(self.stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A connection, encrypted or not.
pub enum Stream {
    /// As it is.
    Plain(Timed),
    /// Over TLS.
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Stream {
    /// The TCP connection under it.
    pub fn timed(&mut self) -> &mut Timed {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    /// Sends all of some bytes.
    ///
    /// # Errors
    /// If the server does not take them in time.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        };
        sent.map_err(broken).context("sending")
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use std::net::TcpListener;

    /// A listener whose queue is full ignores every further connection.
    fn dead_host() -> (SocketAddr, Vec<Socket>) {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let listener = socket();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut open = vec![listener];
        for _ in 0..4 {
            let waiting = socket();
            waiting.set_nonblocking(true).unwrap();
            let _ = waiting.connect(&address);
            open.push(waiting);
        }
        (address.as_socket().unwrap(), open)
    }

    #[test]
    fn an_address_that_does_not_answer_leaves_time_for_the_others() {
        let ((dead, _open), limit) = (dead_host(), Duration::from_secs(2));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        for at in [&[dead, good][..], &[dead, dead, good], &[dead, good, dead]] {
            let connected = Timed::connect(at, limit).unwrap();
            assert_eq!(connected.stream.peer_addr().unwrap(), good);
        }
        for at in [&[dead][..], &[dead, dead]] {
            let begun = Instant::now();
            let error = Timed::connect(at, limit).err().unwrap();
            assert!(error.downcast_ref::<NoAnswer>().is_some(), "{error:#}");
            let took = begun.elapsed();
            assert!(took > limit.mul_f32(0.9) && took < limit.mul_f32(3.0), "{took:?}");
        }
    }
}
