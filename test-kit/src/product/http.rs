//! As much of HTTP as the application takes: one request a connection.

use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, `POST` …
    pub method: String,
    /// The path, as it came.
    pub path: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What is answered.
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into() }
    }
}

/// Serves on a port of all addresses, until the process ends. What `handle` fails with is answered
/// with 500.
///
/// # Errors
/// If the port cannot be listened at.
pub fn serve(
    port: u16,
    handle: impl Fn(&Request) -> Result<Answer> + Send + Sync + 'static,
) -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port));
    let listener = listener.with_context(|| format!("listening at port {port}"))?;
    let handle = Arc::new(handle);
    for stream in listener.incoming().flatten() {
        let handle = handle.clone();
        // A client that goes away is its own affair.
        std::thread::spawn(move || answer(stream, &*handle).ok());
    }
    Ok(())
}

fn answer(stream: TcpStream, handle: &dyn Fn(&Request) -> Result<Answer>) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let request = read(&mut reader)?;
    let answer = handle(&request).unwrap_or_else(|error| {
        pipe_kit::warning!("{} {}: {error:#}", request.method, request.path);
        Answer::new(500, format!("{error:#}\n"))
    });
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 {} .\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.status,
        answer.body.len()
    )?;
    Ok(stream.write_all(&answer.body)?)
}

fn read(reader: &mut impl BufRead) -> Result<Request> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().context("no method")?, words.next().context("no path")?);
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? <= 2 {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().context("content-length")?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).context("the body")?;
    Ok(Request { method, path, body })
}

/// Asks another service.
///
/// # Errors
/// If it does not answer.
pub fn ask(method: &str, url: &str, body: &[u8]) -> Result<Answer> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .proxy(None);
    let agent: ureq::Agent = config.build().into();
    let request = ureq::http::Request::builder().method(method).uri(url);
    let mut answer = match method {
        "GET" => agent.run(request.body(())?),
        _ => agent.run(request.body(body)?),
    }
    .with_context(|| format!("{method} {url}"))?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(u64::MAX).read_to_vec();
    Ok(Answer { status, body: body.with_context(|| format!("{method} {url}"))? })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_request_has_the_body_that_it_announces() {
        let text = "PUT /a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcd";
        let request = read(&mut text.as_bytes()).unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/a/b"));
        assert_eq!(request.body, b"abc");
        assert!(read(&mut "GET /\r\nContent-Length: 3\r\n\r\na".as_bytes()).is_err());
        assert!(read(&mut "".as_bytes()).is_err());
    }
}
