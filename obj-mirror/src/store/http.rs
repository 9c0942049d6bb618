//! Requests over connections that are kept and used again.

use super::dial::Dialer;
use crate::fault::{Kind, StoreError, answered};
use crate::rate::Rate;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use pipe_kit::mutex::lock;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, timeout};

/// Bytes of an answer that a connection reads ahead at most, so that hundreds of them stay small.
const READ_AHEAD: usize = 128 * 1024;
/// Bytes of a body that go out between two looks at the clock.
const FRAME: usize = 256 * 1024;
/// What is read of an answer that tells an error, bytes.
const ERROR_LENGTH: usize = 64 * 1024;

type Answer<T> = Result<T, StoreError>;
type Connection = SendRequest<Content>;

/// A client of one server.
pub struct Http {
    dialer: Dialer,
    idle: Arc<Mutex<Vec<Connection>>>,
    silence: Duration,
    rate: Arc<Rate>,
}

impl Http {
    /// A client that gives up on a server that is silent for so long.
    #[must_use]
    pub fn new(dialer: Dialer, silence: Duration, rate: Arc<Rate>) -> Self {
        Self { dialer, idle: Arc::default(), silence, rate }
    }

    /// Sends a request and waits for the head of its answer; `patience` is how many times longer than
    /// usual the server may take.
    ///
    /// # Errors
    /// If no answer comes. An answer of any status is none.
    pub async fn send(&self, request: Request<Bytes>, patience: u32) -> Answer<Response> {
        let again = matches!(request.method().as_str(), "GET" | "HEAD").then(|| request.clone());
        match (self.send_strictly(request, patience).await, again) {
            // One header that is not HTTP must not cost the bytes that come with it.
            (Err(error), Some(request)) if error.kind == Kind::Malformed => {
                let mut connection = self.connect(true).await?;
                let sent = self.send_on(&mut connection, request, patience).await;
                let response = sent.map_err(|(error, _)| error)?;
                Ok(Response { lacks_headers: true, ..self.response(response, connection) })
            }
            (sent, _) => sent,
        }
    }

    async fn send_strictly(&self, request: Request<Bytes>, patience: u32) -> Answer<Response> {
        // A kept connection may have been closed by the server meanwhile: that says nothing, and the
        // request goes out again on a new one. A POST does not, once it may have got there.
        while let Some(mut connection) = self.kept().await {
            let sent = self.send_on(&mut connection, request.clone(), patience).await;
            match sent {
                Ok(response) => return Ok(self.response(response, connection)),
                Err((error, true)) if error.kind == Kind::Transient => {}
                Err((error, _)) if error.kind == Kind::Transient && request.method() != "POST" => {
                    break;
                }
                Err((error, _)) => return Err(error),
            }
        }
        let mut connection = self.connect(false).await?;
        let sent = self.send_on(&mut connection, request, patience).await;
        let response = sent.map_err(|(error, _)| error)?;
        Ok(self.response(response, connection))
    }

    async fn kept(&self) -> Option<Connection> {
        loop {
            let mut kept = lock(&self.idle).pop()?;
            // One whose last answer has just been read is ready in a moment.
            if timeout(Duration::from_secs(1), kept.ready()).await.is_ok_and(|ready| ready.is_ok())
            {
                return Some(kept);
            }
        }
    }

    /// A new connection; one that is lenient leaves out headers that are not HTTP.
    async fn connect(&self, is_lenient: bool) -> Answer<Connection> {
        let stream = self.dialer.connect().await?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(READ_AHEAD).ignore_invalid_headers_in_responses(is_lenient);
        let made = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|e| network(&e))?;
        tokio::spawn(async move {
            // Its end, good or bad, is told to whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// The answer's head, or what went wrong and whether the request was given back unsent.
    async fn send_on(
        &self,
        connection: &mut Connection,
        request: Request<Bytes>,
        patience: u32,
    ) -> Result<http::Response<Incoming>, (StoreError, bool)> {
        let left = Arc::new(AtomicUsize::new(request.body().len()));
        let request = request.map(|bytes| Content {
            bytes,
            left: Arc::clone(&left),
            rate: Arc::clone(&self.rate),
            pause: None,
        });
        let mut answer = std::pin::pin!(connection.try_send_request(request));
        let limit = self.silence.saturating_mul(patience);
        loop {
            let before = left.load(Ordering::Relaxed);
            match timeout(limit, &mut answer).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(mut error)) => {
                    let unsent = error.take_message().is_some();
                    return Err((network(error.error()), unsent));
                }
                // As long as the body goes out, the server is not silent.
                Err(_) if left.load(Ordering::Relaxed) != before => {}
                Err(_) => return Err((silent(limit), false)),
            }
        }
    }

    fn response(&self, response: http::Response<Incoming>, connection: Connection) -> Response {
        let (parts, body) = response.into_parts();
        Response {
            status: parts.status.as_u16(),
            headers: parts.headers,
            lacks_headers: false,
            body,
            connection: Some(connection),
            idle: Arc::clone(&self.idle),
            silence: self.silence,
            rate: Arc::clone(&self.rate),
        }
    }
}

/// An answer whose body has not been read.
pub struct Response {
    /// HTTP's status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Whether headers may have been left out, since they are not HTTP.
    pub lacks_headers: bool,
    body: Incoming,
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
    silence: Duration,
    rate: Arc<Rate>,
}

impl Response {
    /// The next bytes, or nothing at the end.
    ///
    /// # Errors
    /// If the connection breaks, or the server is silent for too long.
    pub async fn chunk(&mut self) -> Answer<Option<Bytes>> {
        loop {
            match timeout(self.silence, self.body.frame()).await {
                Err(_) => return Err(silent(self.silence)),
                Ok(Some(Err(error))) => return Err(network(&error)),
                Ok(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.rate.take(bytes.len() as u64).await;
                        return Ok(Some(bytes));
                    }
                }
                Ok(None) => {
                    let is_usable = |c: &Connection| !c.is_closed() && !self.lacks_headers;
                    if let Some(connection) = self.connection.take().filter(is_usable) {
                        lock(&self.idle).push(connection);
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// If it cannot be read to its end.
    pub async fn bytes(&mut self) -> Answer<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// What an answer of another status than those wanted means.
    pub async fn into_error(mut self) -> StoreError {
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = self.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > ERROR_LENGTH {
                break;
            }
        }
        answered(self.status, &self.headers, &body)
    }
}

fn silent(limit: Duration) -> StoreError {
    StoreError::new(Kind::Silent, format!("no answer within {} s", limit.as_secs()))
}

/// Only the innermost cause is told: the outer ones say "error" in other words.
fn network(error: &hyper::Error) -> StoreError {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let kind = if error.is_parse() { Kind::Malformed } else { Kind::Transient };
    StoreError::new(kind, cause.to_string())
}

/// A request's body. It goes out in pieces, so that one that moves slowly is told from one that is stuck.
pub struct Content {
    bytes: Bytes,
    left: Arc<AtomicUsize>,
    rate: Arc<Rate>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if self.pause.is_none() {
            let length = self.bytes.len().min(FRAME) as u64;
            self.pause =
                self.rate.reserve(length).map(|until| Box::pin(tokio::time::sleep_until(until)));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let length = self.bytes.len().min(FRAME);
        let piece = self.bytes.split_to(length);
        self.left.store(self.bytes.len(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
