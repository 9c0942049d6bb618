//! A proxy that fails as networks and servers do: one request per connection, each of which it can change.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// What becomes of a request.
#[derive(Clone, Copy)]
pub enum Fate {
    /// It is answered by the server.
    Pass,
    /// The connection is dropped.
    Drop,
    /// It is answered with 503.
    Busy,
    /// It is answered with this status and body.
    Answer(u16, &'static str),
    /// The answer is truncated after so many bytes.
    Cut(u64),
    /// The connection stays open and nothing comes.
    Hang,
    /// A byte of what is sent arrives as another.
    Garble,
    /// It never comes to the server, and is answered with 200 and this body.
    Instead(&'static str),
    /// The answer comes as this makes it.
    Change(fn(Vec<u8>) -> Vec<u8>),
}

pub struct Proxy {
    address: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy before `server` (`http://HOST:PORT`); `decide` is given each request's head.
    pub fn before(server: &str, decide: impl Fn(&str) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = server.strip_prefix("http://").unwrap().to_owned();
        let (stop, decide) = (Arc::new(AtomicBool::new(false)), Arc::new(decide));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (server, decide) = (server.clone(), Arc::clone(&decide));
                std::thread::spawn(move || {
                    // Broken connections are this proxy's trade.
                    let _ = serve(&stream, &server, &*decide);
                });
            }
        });
        Self { address, stop, thread: Some(thread) }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    client: &TcpStream,
    server: &str,
    decide: &(dyn Fn(&str) -> Fate + Send + Sync),
) -> std::io::Result<()> {
    let mut from_client = BufReader::new(client.try_clone()?);
    // A head's bytes need not be text.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from_client.read_until(b'\n', &mut head)? == 0 {
            return Ok(());
        }
    }
    let mut client = client;
    let fate = decide(String::from_utf8_lossy(&head).trim_end());
    let limit = match fate {
        Fate::Pass | Fate::Garble | Fate::Change(_) => u64::MAX,
        Fate::Cut(bytes) => bytes,
        Fate::Drop => return client.shutdown(Shutdown::Both),
        Fate::Busy => {
            let answer = "HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return client.write_all(answer.as_bytes());
        }
        Fate::Instead(body) => return answer_instead(client, from_client, &head, (200, body)),
        Fate::Answer(status, body) => {
            return answer_instead(client, from_client, &head, (status, body));
        }
        Fate::Hang => {
            let _ = client.read(&mut [0]);
            return Ok(());
        }
    };
    let mut upstream = TcpStream::connect(server)?;
    // Neither side signs `connection`.
    let line = head.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    upstream.write_all(&[&head[..line], b"connection: close\r\n", &head[line..]].concat())?;
    let mut to_server = upstream.try_clone()?;
    std::thread::spawn(move || {
        if matches!(fate, Fate::Garble) {
            let mut first = [0];
            let read = from_client.read_exact(&mut first);
            let _ = read.and_then(|()| to_server.write_all(&[first[0] ^ 1]));
        }
        let _ = std::io::copy(&mut from_client, &mut to_server);
    });
    if let Fate::Change(change) = fate {
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer)?;
        client.write_all(&change(answer))?;
        return client.shutdown(Shutdown::Both);
    }
    std::io::copy(&mut upstream.take(limit), &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// Answers with this status and body.
fn answer_instead(
    mut client: &TcpStream,
    from_client: impl Read,
    head: &[u8],
    (status, body): (u16, &str),
) -> std::io::Result<()> {
    // A connection that is closed with unread bytes is reset, and the answer lost.
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    std::io::copy(&mut from_client.take(length), &mut std::io::sink())?;
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} status\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    client.write_all(format!("{head}{body}").as_bytes())?;
    client.shutdown(Shutdown::Both)
}
