//! HTTP/1.1 requests over a pool of kept-alive connections.
//!
//! The pool is our own. The pooled client of hyper-util retries only requests that were not sent, and
//! ignores invalid headers for all responses or for none. Here an idempotent request that fails on a
//! kept connection is sent again on a new one, and only a response with an invalid header is read again
//! without it.

use crate::s3::content::Content;
use crate::s3::dial::Dialer;
use crate::s3::error_response::answered;
use crate::s3::fault::Answer;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::rate::Rate;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use pipe_kit::mutex::lock;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, timeout};

/// The read buffer of a connection, bytes: small, since there may be hundreds of them.
const READ_AHEAD: usize = 128 * 1024;
/// The largest frame of a request body, bytes: progress is checked between frames.
const FRAME: u64 = 256 * 1024;
/// The most that is read of an error response, bytes.
const ERROR_LENGTH: usize = 64 * 1024;

type Connection = SendRequest<RequestBody>;

/// A client of one server.
pub struct Http {
    dialer: Dialer,
    idle: Arc<Mutex<Vec<Connection>>>,
    idle_timeout: Duration,
    rate: Arc<Rate>,
}

impl Http {
    pub fn new(dialer: Dialer, idle_timeout: Duration, rate: Arc<Rate>) -> Self {
        Self { dialer, idle: Arc::default(), idle_timeout, rate }
    }

    /// Sends a request and waits for the head of the response. `timeout_factor` extends the time limit
    /// for slow operations.
    pub async fn send(&self, request: Request<Content>, timeout_factor: u32) -> Answer<Response> {
        let again = matches!(request.method().as_str(), "GET" | "HEAD").then(|| request.clone());
        match (self.send_strictly(request, timeout_factor).await, again) {
            // One invalid header must not cost the object: read the response again without such headers.
            (Err(error), Some(request)) if error.kind == Kind::Malformed => {
                let mut connection = self.connect(true).await?;
                let sent = self.send_on(&mut connection, request, timeout_factor).await;
                let response = sent.map_err(|(error, _)| error)?;
                Ok(Response { lacks_headers: true, ..self.response(response, connection) })
            }
            (sent, _) => sent,
        }
    }

    async fn send_strictly(
        &self,
        request: Request<Content>,
        timeout_factor: u32,
    ) -> Answer<Response> {
        // The server may have closed a kept connection meanwhile. The request is then sent again on a
        // new one, but a POST only if it was not sent at all.
        while let Some(mut connection) = self.kept().await {
            let sent = self.send_on(&mut connection, request.clone(), timeout_factor).await;
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
        let sent = self.send_on(&mut connection, request, timeout_factor).await;
        let response = sent.map_err(|(error, _)| error)?;
        Ok(self.response(response, connection))
    }

    async fn kept(&self) -> Option<Connection> {
        loop {
            let mut kept = lock(&self.idle).pop()?;
            // A connection whose last response has just been read becomes ready in a moment.
            if timeout(Duration::from_secs(1), kept.ready()).await.is_ok_and(|ready| ready.is_ok())
            {
                return Some(kept);
            }
        }
    }

    /// Opens a connection; a lenient one drops invalid headers.
    async fn connect(&self, is_lenient: bool) -> Answer<Connection> {
        let stream = self.dialer.connect().await?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(READ_AHEAD).ignore_invalid_headers_in_responses(is_lenient);
        let made = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|e| network(&e))?;
        tokio::spawn(async move {
            // The response future reports how the connection ended.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// The head of the response; or the error, and whether the request was never sent.
    async fn send_on(
        &self,
        connection: &mut Connection,
        request: Request<Content>,
        timeout_factor: u32,
    ) -> Result<http::Response<Incoming>, (StoreError, bool)> {
        let left = Arc::new(AtomicU64::new(request.body().len()));
        let request = request.map(|content| RequestBody {
            content,
            left: Arc::clone(&left),
            rate: Arc::clone(&self.rate),
            pause: None,
        });
        let mut answer = std::pin::pin!(connection.try_send_request(request));
        let limit = self.idle_timeout.saturating_mul(timeout_factor);
        loop {
            let before = left.load(Ordering::Relaxed);
            match timeout(limit, &mut answer).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(mut error)) => {
                    let unsent = error.take_message().is_some();
                    return Err((network(error.error()), unsent));
                }
                // There is progress as long as the body goes out.
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
            idle_timeout: self.idle_timeout,
            rate: Arc::clone(&self.rate),
        }
    }
}

/// A response whose body has not been read.
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    /// Whether invalid headers may have been dropped.
    pub lacks_headers: bool,
    body: Incoming,
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
    idle_timeout: Duration,
    rate: Arc<Rate>,
}

impl Response {
    /// The next bytes; none at the end.
    pub async fn chunk(&mut self) -> Answer<Option<Bytes>> {
        loop {
            match timeout(self.idle_timeout, self.body.frame()).await {
                Err(_) => return Err(silent(self.idle_timeout)),
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

    pub async fn bytes(&mut self) -> Answer<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Reads the response as an error.
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

/// Only the innermost cause is shown: the outer ones only repeat that there was an error.
fn network(error: &hyper::Error) -> StoreError {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let kind = if error.is_parse() { Kind::Malformed } else { Kind::Transient };
    StoreError::new(kind, cause.to_string())
}

/// A request's body, sent in frames so that slow progress can be distinguished from none.
pub struct RequestBody {
    content: Content,
    left: Arc<AtomicU64>,
    rate: Arc<Rate>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.content.is_empty() {
            return Poll::Ready(None);
        }
        if self.pause.is_none() {
            let length = self.content.len().min(FRAME);
            self.pause =
                self.rate.reserve(length).map(|until| Box::pin(tokio::time::sleep_until(until)));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let piece = self.content.take(FRAME);
        self.left.store(self.content.len(), Ordering::Relaxed);
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.len())
    }
}
