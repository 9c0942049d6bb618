//! The operations on a bucket that a mirror needs, and no others. Every method makes one attempt; the
//! caller decides what is retried ([`crate::s3::retry`]).
//!
//! The client is our own, over hyper and rustls, because rust-s3 (0.38) loses what a mirror must keep: its
//! `Request::url` drops a leading slash and turns `a/../b` into `b`, header values beyond ASCII neither
//! arrive nor leave, and `get_object_stream` returns no headers, so that headers and bytes could come from
//! two states of an object.

use crate::object::attributes::Tags;
use crate::object::key::printable;
use crate::s3::content::Content;
use crate::s3::credentials::Credentials;
use crate::s3::dial::Dialer;
use crate::s3::document::{Document, require_no_error};
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
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The region whose name must not be sent when a bucket is created.
const FIRST_REGION: &str = "us-east-1";
pub(super) const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");
/// The SHA-256 of an empty body.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A bucket.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    http: Http,
    credentials: Credentials,
    signer: Signer,
    bucket: String,
    endpoint: String,
    region: String,
    host: HeaderValue,
    /// The start of every path, without a slash at its end.
    base: String,
}

/// An object that is being downloaded.
pub struct Download {
    pub head: Head,
    /// The size of the whole object, if the response is a part of it.
    pub part_of: Option<u64>,
    /// The SHA-256 that the server keeps, base64; of an object in parts, that of the parts' SHA-256s, with `-N`.
    pub sha256: Option<String>,
    response: Response,
}

/// What is stored with an object besides its bytes.
#[derive(Clone, Copy)]
pub struct ObjectAttributes<'a> {
    /// Headers and user metadata.
    pub headers: &'a HeaderMap,
    /// Tags to send in the same request.
    pub tags: Option<&'a Tags>,
}

/// Checksums of a body, which the server verifies.
#[derive(Clone, Copy)]
pub struct Sums<'a> {
    /// Hex SHA-256, which the signature covers.
    pub sha256: &'a str,
    /// MD5 in base64 (`Content-MD5`), which every S3 server verifies and a bucket with Object Lock requires
    /// of an upload.
    pub md5: &'a str,
}

/// A request that is not signed yet.
#[derive(Default)]
pub(super) struct S3Request<'a> {
    pub(super) method: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: HeaderMap,
    pub(super) body: Content,
    /// Hex SHA-256 of the body, if it is known.
    pub(super) sha256: Option<&'a str>,
    pub(super) timeout_factor: u32,
}

impl Store {
    /// Creates a client; nothing is sent yet.
    pub fn new(
        settings: &Settings,
        bucket: &str,
        idle_timeout: Duration,
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
            http: Http::new(dialer, idle_timeout, rate),
            credentials: Credentials::new(settings),
            signer: Signer::new(&settings.region),
            bucket: bucket.to_owned(),
            endpoint: settings.endpoint.clone(),
            region: settings.region.clone(),
            host: HeaderValue::from_str(&host).context("reading the endpoint's host")?,
            base,
        })))
    }

    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.0.bucket
    }

    pub fn endpoint(&self) -> &str {
        &self.0.endpoint
    }

    /// A failure of the whole bucket, as shown to the operator.
    pub fn fatal(&self, error: &StoreError) -> anyhow::Error {
        let (bucket, url) = (self.name(), self.endpoint());
        match error.kind {
            Kind::NoBucket => self.no_bucket(),
            Kind::NoKey => anyhow!("bucket {bucket} was not found at {url}: {error}"),
            Kind::Denied => anyhow!(
                "the keys are refused for bucket {bucket} at {url}: {error}; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ),
            Kind::Skewed => anyhow!(
                "the clock of this host and that of the object storage at {url} differ too much: {error}; correct the one that is wrong (timedatectl)"
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

    /// The error for a missing bucket.
    pub fn no_bucket(&self) -> anyhow::Error {
        anyhow!("bucket {} does not exist at {}", self.name(), self.endpoint())
    }

    /// Sends a request. If the signature may be refused for blanks in a header, it is sent again with the other
    /// folding.
    async fn round_trip(&self, request: S3Request<'_>) -> Answer<Response> {
        let response = self.send(&request, Folding::Spaces).await?;
        if response.status == 403 && !request.headers.values().all(folds_alike) {
            return self.send(&request, Folding::WhiteSpace).await;
        }
        Ok(response)
    }

    async fn send(&self, request: &S3Request<'_>, folding: Folding) -> Answer<Response> {
        let inner = &self.0;
        let path = match request.key {
            Some(key) => format!("{}/{}", inner.base, encode::path(key)),
            None if inner.base.is_empty() => "/".to_owned(),
            None => inner.base.clone(),
        };
        let query = encode::query(request.query);
        let mut headers = request.headers.clone();
        headers.insert("host", inner.host.clone());
        let computed = match request.sha256 {
            Some(_) => None,
            None if request.body.is_empty() => Some(NOTHING.to_owned()),
            None => Some(request.body.sha256()?),
        };
        let payload = request.sha256.or(computed.as_deref()).unwrap_or_default();
        let to_sign =
            Signed { method: request.method, path: &path, query: &query, payload, folding };
        let unsendable = |e: &dyn std::fmt::Display| StoreError::permanent(e.to_string());
        let keys = inner.credentials.keys().await?;
        let signed = inner.signer.sign(&keys, &to_sign, &mut headers, Utc::now());
        signed.map_err(|e| unsendable(&e))?;
        // Not signed, because a proxy may change them.
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        let agent = concat!("obj-mirror/", env!("CARGO_PKG_VERSION"));
        headers.insert("user-agent", HeaderValue::from_static(agent));
        // hyper sends no length of an empty body, and S3 and Ceph refuse an upload without one (411).
        if request.body.is_empty() && ["PUT", "POST"].contains(&request.method) {
            headers.insert("content-length", HeaderValue::from_static("0"));
        }
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        let target = http::uri::PathAndQuery::try_from(target).map_err(|e| unsendable(&e))?;
        let signed = Request::builder().method(request.method).uri(target);
        let mut signed = signed.body(request.body.clone()).map_err(|e| unsendable(&e))?;
        *signed.headers_mut() = headers;
        inner.http.send(signed, request.timeout_factor.max(1)).await
    }

    /// Sends a request and requires one of these statuses.
    pub(super) async fn expect(
        &self,
        request: S3Request<'_>,
        statuses: &[u16],
    ) -> Answer<Response> {
        let response = self.round_trip(request).await?;
        if statuses.contains(&response.status) {
            return Ok(response);
        }
        Err(response.into_error().await)
    }

    /// Sends a request that is answered with a document of this root element. See [`Document::of`].
    pub(super) async fn document(&self, request: S3Request<'_>, root: &str) -> Answer<Document> {
        let mut response = self.expect(request, &[200]).await?;
        let body = response.bytes().await?;
        Document::of(&response.headers, body, root)
    }

    /// Sends a request whose answer tells by its status that it was carried out, unless its body is an error.
    pub(super) async fn done(&self, request: S3Request<'_>, statuses: &[u16]) -> Answer<()> {
        let mut response = self.expect(request, statuses).await?;
        let body = response.bytes().await?;
        require_no_error(&response.headers, &body)
    }

    /// A page (up to 1,000 objects) of the keys that begin with `prefix`.
    pub async fn list_page(&self, prefix: &str, token: Option<&str>) -> Answer<Page> {
        let mut query = vec![("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix)];
        query.extend(token.map(|token| ("continuation-token", token)));
        let request = S3Request { method: "GET", query: &query, ..S3Request::default() };
        page::read(&self.document(request, page::ROOT).await?)
    }

    /// Creates the bucket.
    ///
    /// # Errors
    /// [`Kind::BucketThere`] if it exists already.
    pub async fn make_bucket(&self) -> Answer<()> {
        // S3 rejects the name of its first region here, and requires that of any other.
        let body = match self.0.region.as_str() {
            FIRST_REGION => String::new(),
            region => format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
                xml::escape(region)
            ),
        };
        let request = S3Request { method: "PUT", body: body.into(), ..S3Request::default() };
        self.done(request, &[200]).await
    }

    /// The headers of an object.
    ///
    /// # Errors
    /// [`Kind::NoKey`] if it does not exist.
    pub async fn head(&self, key: &str) -> Answer<Head> {
        let request = S3Request { method: "HEAD", key: Some(key), ..S3Request::default() };
        let mut response = self.expect(request, &[200]).await?;
        let head = Head::of_headers(&response.headers);
        response.bytes().await?;
        Ok(head)
    }

    /// Starts a download: of the whole object, or of a range if the ETag is still the given one.
    ///
    /// # Errors
    /// [`Kind::NoKey`] if it does not exist; [`Kind::Changed`] if it has another ETag.
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
        self.download(key, headers).await
    }

    /// Starts a download of the whole object, and asks for the checksums that the server keeps.
    ///
    /// # Errors
    /// [`Kind::NoKey`] if it does not exist.
    pub async fn get_with_checksums(&self, key: &str) -> Answer<Download> {
        let mode = HeaderValue::from_static("ENABLED");
        let headers = HeaderMap::from_iter([(CHECKSUM_MODE, mode)]);
        self.download(key, headers).await
    }

    async fn download(&self, key: &str, headers: HeaderMap) -> Answer<Download> {
        let request = S3Request { method: "GET", key: Some(key), headers, ..S3Request::default() };
        let response = self.expect(request, &[200, 206]).await?;
        let sha256 = text(&response.headers, "x-amz-checksum-sha256");
        let mut head = Head::of_headers(&response.headers);
        head.lacks_headers = response.lacks_headers;
        let part_of = match response.status {
            206 => Some(total(&response.headers)?),
            _ => None,
        };
        Ok(Download { head, part_of, sha256, response })
    }

    /// Uploads an object in one request, with its checksums.
    ///
    /// # Errors
    /// [`Kind::Garbled`] if the server received other bytes. Any other error leaves open whether the
    /// object was stored.
    pub async fn put(
        &self,
        key: &str,
        content: Content,
        sums: Sums<'_>,
        attributes: ObjectAttributes<'_>,
    ) -> Answer<()> {
        let mut headers = attribute_headers(attributes)?;
        headers.insert(CONTENT_MD5, value(sums.md5)?);
        let sha256 = Some(sums.sha256);
        let request = S3Request {
            method: "PUT",
            key: Some(key),
            headers,
            body: content,
            sha256,
            ..S3Request::default()
        };
        self.done(request, &[200]).await
    }
}

impl Download {
    /// The next bytes; none at the end.
    pub async fn chunk(&mut self) -> Answer<Option<Bytes>> {
        self.response.chunk().await
    }
}

pub fn value(text: &str) -> Answer<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| StoreError::permanent("invalid header value"))
}

pub(super) fn attribute_headers(attributes: ObjectAttributes<'_>) -> Answer<HeaderMap> {
    let mut headers = attributes.headers.clone();
    if let Some(tags) = attributes.tags {
        headers.insert("x-amz-tagging", value(&tag_header(tags))?);
    }
    Ok(headers)
}

/// The size of the whole object, from a partial response.
fn total(headers: &HeaderMap) -> Answer<u64> {
    let range = text(headers, "content-range");
    let total = range.and_then(|range| range.rsplit_once('/')?.1.parse().ok());
    total.ok_or_else(|| StoreError::permanent("partial response without a Content-Range header"))
}
