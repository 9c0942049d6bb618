//! The S3 client: the operations that a mirror needs, and no others. Every method is one attempt; who
//! calls decides what is tried again ([`crate::s3::retry`]).
//!
//! It is our own, over hyper and rustls. What a mirror must have, libraries hide: keys go out byte for
//! byte (no URL type that turns `a/../b` into `b` or drops a slash), values of headers beyond ASCII go
//! out as they are, and an object's headers and bytes come from one answer, never from two states of
//! it. `dial` makes connections, `http` sends over them, `sign` signs, `encode` and `xml` write and read.

use crate::object::attributes::Tags;
use crate::object::hash::hex;
use crate::object::key::printable;
use crate::s3::dial::Dialer;
use crate::s3::encode::tag_header;
use crate::s3::fault::Answer;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::headers::{Head, text};
use crate::s3::http::{Http, Response};
use crate::s3::page::{self, Page};
use crate::s3::rate::Rate;
use crate::s3::sign::{Folding, Signed, Signer, folds_alike};
use crate::s3::{encode, xml};
use crate::settings::Settings;
use anyhow::{Context, anyhow};
use bytes::Bytes;
use chrono::Utc;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// S3's first region, whose name a request to make a bucket must not carry.
const FIRST_REGION: &str = "us-east-1";
pub(super) const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
/// The SHA-256 of nothing.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A bucket.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    http: Http,
    signer: Signer,
    bucket: String,
    endpoint: String,
    region: String,
    host: HeaderValue,
    /// What every path begins with; no slash at its end.
    base: String,
}

/// An object that is being read.
pub struct Download {
    /// What the answer says of it.
    pub head: Head,
    /// Bytes of the whole object, where the answer is a part of it alone.
    pub part_of: Option<u64>,
    response: Response,
}

/// What an object is stored with beside its bytes.
#[derive(Clone, Copy)]
pub struct Said<'a> {
    /// Headers and user metadata.
    pub headers: &'a HeaderMap,
    /// Tags to send along.
    pub tags: Option<&'a Tags>,
}

/// Checksums of the bytes that are sent, which the server checks.
#[derive(Clone, Copy)]
pub struct Sums<'a> {
    /// Hex SHA-256, which the signature covers.
    pub sha256: &'a str,
    /// MD5 in base64 (`Content-MD5`): what every S3 server checks, and what a bucket with Object Lock
    /// demands of an upload.
    pub md5: &'a str,
}

/// A request that is not signed yet.
#[derive(Default)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Hex SHA-256 of the body, where it is known.
    pub(super) sha256: Option<&'a str>,
    pub(super) patience: u32,
}

impl Store {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// If the client cannot be set up.
    pub fn new(
        settings: &Settings,
        bucket: &str,
        silence: Duration,
        rate: Arc<Rate>,
    ) -> anyhow::Result<Self> {
        let (_, rest) = settings.endpoint.split_once("://").unwrap_or_default();
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, base) = match settings.path_style {
            true => (authority.to_owned(), format!("{path}/{bucket}")),
            false => (format!("{bucket}.{authority}"), path.to_owned()),
        };
        let dialer = Dialer::new(settings, &host)?;
        Ok(Self(Arc::new(Inner {
            http: Http::new(dialer, silence, rate),
            signer: Signer::new(settings),
            bucket: bucket.to_owned(),
            endpoint: settings.endpoint.clone(),
            region: settings.region.clone(),
            host: HeaderValue::from_str(&host).context("reading the endpoint's host")?,
            base,
        })))
    }

    /// What the bucket is, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.bucket
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.0.endpoint
    }

    /// A failure of the whole bucket, as the operator is told.
    #[must_use]
    pub fn fatal(&self, error: &StoreError) -> anyhow::Error {
        let (bucket, url) = (self.name(), self.endpoint());
        match error.kind {
            Kind::NoBucket => self.no_bucket(),
            Kind::NoKey => anyhow!("bucket {bucket} was not found at {url}: {error}"),
            Kind::Denied => anyhow!(
                "the keys are refused for bucket {bucket} at {url}: {error}; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ),
            Kind::Unreachable => anyhow!("object storage at {url} cannot be reached: {error}"),
            Kind::Tls => anyhow!("object storage at {url} is not trusted: {error}"),
            Kind::Disk => anyhow!("writing to disk: {error}"),
            Kind::Transient
            | Kind::Garbled
            | Kind::Malformed
            | Kind::Busy
            | Kind::Silent
            | Kind::Changed
            | Kind::Unsupported
            | Kind::Permanent
            | Kind::BucketThere
            | Kind::Damaged => {
                anyhow!("bucket {bucket} at {url}: {}", printable(&error.message))
            }
        }
    }

    /// That the bucket is missing, as the operator is told.
    #[must_use]
    pub fn no_bucket(&self) -> anyhow::Error {
        anyhow!("bucket {} does not exist at {}", self.name(), self.endpoint())
    }

    async fn ask(&self, ask: Ask<'_>) -> Answer<Response> {
        let response = self.send(&ask, Folding::Spaces).await?;
        if response.status == 403 && !ask.headers.values().all(folds_alike) {
            return self.send(&ask, Folding::WhiteSpace).await;
        }
        Ok(response)
    }

    async fn send(&self, ask: &Ask<'_>, folding: Folding) -> Answer<Response> {
        let inner = &self.0;
        let path = match ask.key {
            Some(key) => format!("{}/{}", inner.base, encode::path(key)),
            None if inner.base.is_empty() => "/".to_owned(),
            None => inner.base.clone(),
        };
        let query = encode::query(ask.query);
        let mut headers = ask.headers.clone();
        headers.insert("host", inner.host.clone());
        let computed = match ask.sha256 {
            Some(_) => None,
            None if ask.body.is_empty() => Some(NOTHING.to_owned()),
            None => Some(hex(&Sha256::digest(&ask.body))),
        };
        let payload = ask.sha256.or(computed.as_deref()).unwrap_or_default();
        let signed = Signed { method: ask.method, path: &path, query: &query, payload, folding };
        let unsendable = |e: &dyn std::fmt::Display| StoreError::permanent(e.to_string());
        inner.signer.sign(&signed, &mut headers, Utc::now()).map_err(|e| unsendable(&e))?;
        // Not signed: what is between may have a say in them.
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        let agent = concat!("obj-mirror/", env!("CARGO_PKG_VERSION"));
        headers.insert("user-agent", HeaderValue::from_static(agent));
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        let target = http::uri::PathAndQuery::try_from(target).map_err(|e| unsendable(&e))?;
        let request = Request::builder().method(ask.method).uri(target);
        let mut request = request.body(ask.body.clone()).map_err(|e| unsendable(&e))?;
        *request.headers_mut() = headers;
        inner.http.send(request, ask.patience.max(1)).await
    }

    /// Asks, and takes an answer of these statuses alone.
    pub(super) async fn expect(&self, ask: Ask<'_>, statuses: &[u16]) -> Answer<Response> {
        let response = self.ask(ask).await?;
        if statuses.contains(&response.status) {
            return Ok(response);
        }
        Err(response.into_error().await)
    }

    /// One page (up to 1,000 objects) of the keys that begin with `prefix`.
    ///
    /// # Errors
    /// If it cannot be had.
    pub async fn list_page(&self, prefix: &str, token: Option<&str>) -> Answer<Page> {
        let mut query = vec![("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix)];
        query.extend(token.map(|token| ("continuation-token", token)));
        let ask = Ask { method: "GET", query: &query, ..Ask::default() };
        let body = self.expect(ask, &[200]).await?.bytes().await?;
        page::read(&body)
    }

    /// Makes the bucket.
    ///
    /// # Errors
    /// [`crate::s3::fault::Kind::BucketThere`] if it is there already; if it was not made.
    pub async fn make_bucket(&self) -> Answer<()> {
        // Of the first region S3 will not have it said, of every other it must be.
        let body = match self.0.region.as_str() {
            FIRST_REGION => String::new(),
            region => format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
                xml::escape(region)
            ),
        };
        let ask = Ask { method: "PUT", body: body.into(), ..Ask::default() };
        self.expect(ask, &[200]).await?.bytes().await.map(drop)
    }

    /// What is said of an object.
    ///
    /// # Errors
    /// [`crate::s3::fault::Kind::NoKey`] if there is none.
    pub async fn head(&self, key: &str) -> Answer<Head> {
        let ask = Ask { method: "HEAD", key: Some(key), ..Ask::default() };
        let mut response = self.expect(ask, &[200]).await?;
        let head = Head::of_headers(&response.headers);
        response.bytes().await?;
        Ok(head)
    }

    /// Starts reading an object, or a range of its bytes if the ETag is still the one given.
    ///
    /// # Errors
    /// [`crate::s3::fault::Kind::NoKey`] if there is none; [`Kind::Changed`] if it has another ETag.
    pub async fn get(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        etag: Option<&HeaderValue>,
    ) -> Answer<Download> {
        let mut headers = HeaderMap::new();
        if let Some(Range { start, end }) = range {
            headers.insert("range", value(&format!("bytes={start}-{}", end.saturating_sub(1)))?);
        }
        if let Some(etag) = etag {
            headers.insert("if-match", etag.clone());
        }
        let ask = Ask { method: "GET", key: Some(key), headers, ..Ask::default() };
        let response = self.expect(ask, &[200, 206]).await?;
        let mut head = Head::of_headers(&response.headers);
        head.lacks_headers = response.lacks_headers;
        let part_of = match response.status {
            206 => Some(total(&response.headers)?),
            _ => None,
        };
        Ok(Download { head, part_of, response })
    }

    /// Writes an object in one request, which carries its checksums.
    ///
    /// # Errors
    /// [`crate::s3::fault::Kind::Garbled`] if other bytes arrived; if it was not written, or it is not known
    /// whether.
    pub async fn put(
        &self,
        key: &str,
        content: Bytes,
        sums: Sums<'_>,
        said: Said<'_>,
    ) -> Answer<()> {
        let mut headers = said_headers(said)?;
        headers.insert(CONTENT_MD5, value(sums.md5)?);
        let sha256 = Some(sums.sha256);
        let ask =
            Ask { method: "PUT", key: Some(key), headers, body: content, sha256, ..Ask::default() };
        self.expect(ask, &[200]).await?.bytes().await.map(drop)
    }
}

impl Download {
    /// The next bytes, or nothing at the end.
    ///
    /// # Errors
    /// If the connection breaks, or the server is silent for too long.
    pub async fn chunk(&mut self) -> Answer<Option<Bytes>> {
        self.response.chunk().await
    }
}

pub(super) fn value(text: &str) -> Answer<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| StoreError::permanent("invalid header value"))
}

pub(super) fn said_headers(said: Said<'_>) -> Answer<HeaderMap> {
    let mut headers = said.headers.clone();
    if let Some(tags) = said.tags {
        headers.insert("x-amz-tagging", value(&tag_header(tags))?);
    }
    Ok(headers)
}

/// The whole object's size, of an answer that is a part of it.
fn total(headers: &HeaderMap) -> Answer<u64> {
    let range = text(headers, "content-range");
    let total = range.and_then(|range| range.rsplit_once('/')?.1.parse().ok());
    total.ok_or_else(|| StoreError::permanent("partial response without a Content-Range header"))
}
