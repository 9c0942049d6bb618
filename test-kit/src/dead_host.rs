//! A host that does not answer.

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A host that drops packets: a listener whose queue is full ignores every further SYN.
pub struct DeadHost {
    listener: Socket,
    _queue: Vec<Socket>,
}

impl DeadHost {
    /// One on a free port of this host.
    ///
    /// # Errors
    /// If it answers all the same.
    pub fn new() -> Result<Self> {
        let any = SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        listener.bind(&any)?;
        listener.listen(0)?;
        let address = listener.local_addr()?;
        let mut queue = Vec::new();
        for _ in 0..4 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            let _ = socket.connect(&address);
            queue.push(socket);
        }
        let dead = Self { listener, _queue: queue };
        let tried = TcpStream::connect_timeout(&dead.address()?, Duration::from_millis(200));
        ensure!(tried.is_err_and(|error| error.kind() == ErrorKind::TimedOut), "it answers");
        Ok(dead)
    }

    /// Where it is.
    ///
    /// # Errors
    /// If the system does not know.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr()?.as_socket().context("no address")
    }
}
