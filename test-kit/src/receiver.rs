//! A receiver of pings and messages: as much of a web server as they need.

use crate::process::wait_until;
use anyhow::{Context, Result, ensure};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a receiver that drips sends a byte.
const DRIP: Duration = Duration::from_millis(200);
/// The request of [`Receiver::drain`], which is none of those received.
const DRAIN: &str = "GET /drain";

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method and the path.
    pub line: String,
    /// The header lines.
    pub head: Vec<String>,
    /// The body.
    pub body: String,
}

/// How it answers.
#[derive(Clone)]
pub enum Manner {
    /// With this status.
    Status(u16),
    /// Never.
    Silent,
    /// Byte by byte, without an end.
    Dripping,
    /// With 200, over TLS.
    Tls(Arc<ServerConfig>),
}

/// A receiver that serves until the process ends.
pub struct Receiver {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
    /// How many connections are open.
    open: Arc<AtomicUsize>,
}

impl Receiver {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If there is none.
    pub fn start(manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a port")?;
        let address = listener.local_addr()?.to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let open = Arc::new(AtomicUsize::new(0));
        let (received, counted) = (Arc::clone(&requests), Arc::clone(&open));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (manner, received) = (manner.clone(), Arc::clone(&received));
                let counted = Arc::clone(&counted);
                counted.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    // A client that goes away is its own affair.
                    let _ = serve(stream, &manner, &received);
                    counted.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self { address, requests, open })
    }

    /// Where it listens, `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What has come since the last call, in that order.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As [`Receiver::take`], also with what a client has sent that was killed since.
    ///
    /// # Errors
    /// If a client keeps its connection open.
    pub fn drain(&self) -> Result<Vec<Request>> {
        // Connections are accepted in their order: once this one is, all before it are.
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "{DRAIN} HTTP/1.1\r\n\r\n")?;
        stream.read_to_end(&mut Vec::new())?;
        wait_until("all connections to close", || Ok(self.open.load(Ordering::SeqCst) == 0))?;
        Ok(self.take())
    }
}

fn serve(stream: TcpStream, manner: &Manner, received: &Mutex<Vec<Request>>) -> Result<()> {
    match manner {
        Manner::Tls(config) => {
            let connection = ServerConnection::new(Arc::clone(config))?;
            answer(StreamOwned::new(connection, stream), manner, received)
        }
        _ => answer(stream, manner, received),
    }
}

fn answer(
    stream: impl Read + Write,
    manner: &Manner,
    received: &Mutex<Vec<Request>>,
) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let request = request(&mut reader)?;
    if request.line != DRAIN {
        received.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }
    let status = match manner {
        Manner::Status(status) => *status,
        Manner::Tls(_) => 200,
        // The connection stays open for as long as the client waits.
        Manner::Silent => return Ok(reader.read_to_end(&mut Vec::new()).map(drop)?),
        Manner::Dripping => return drip(reader.into_inner()),
    };
    let mut stream = reader.into_inner();
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nOK")?;
    Ok(stream.flush()?)
}

fn request(reader: &mut impl BufRead) -> Result<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "cut short");
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    ensure!(!lines.is_empty(), "no request line");
    let line = lines.remove(0).trim_end_matches(" HTTP/1.1").to_owned();
    let length = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(Request { line, head: lines, body: String::from_utf8(body)? })
}

/// Ends when the client closes the connection.
fn drip(mut stream: impl Write) -> Result<()> {
    stream.write_all(b"HTTP/1.1 200 X\r\nx: ")?;
    loop {
        stream.write_all(b"x")?;
        stream.flush()?;
        std::thread::sleep(DRIP);
    }
}

/// The request lines.
#[must_use]
pub fn lines(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.line.as_str()).collect()
}

/// The `event` and the `text` of each message.
///
/// # Errors
/// If one is no JSON.
pub fn messages(requests: &[Request]) -> Result<Vec<(String, String)>> {
    let read = |request: &Request| -> Result<(String, String)> {
        let message: Value = serde_json::from_str(&request.body)?;
        let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
        Ok((text("event"), text("text")))
    };
    requests.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_that_is_gone_is_received_too() {
        let receiver = Receiver::start(Manner::Status(200)).unwrap();
        for at in 0..20 {
            let mut stream = TcpStream::connect(receiver.address()).unwrap();
            write!(stream, "POST /{at} HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi").unwrap();
        }
        // One that was killed in the middle of it.
        let mut half = TcpStream::connect(receiver.address()).unwrap();
        write!(half, "POST /half HTTP/1.1\r\ncontent-length: 9\r\n\r\nhi").unwrap();
        drop(half);
        let received = receiver.drain().unwrap();
        let mut seen = lines(&received);
        seen.sort_unstable();
        let mut sent: Vec<_> = (0..20).map(|at| format!("POST /{at}")).collect();
        sent.sort_unstable();
        assert_eq!(seen, sent);
        assert!(received.iter().all(|request| request.body == "hi"));
        assert!(receiver.take().is_empty());
    }
}
