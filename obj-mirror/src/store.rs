//! The S3 client: the only file that knows which one it is. Every method is one attempt; who calls
//! decides what is tried again ([`crate::retry`]).
//!
//! The client is the `rust-s3` crate. What shapes this file:
//! - its streaming GET hides the response's headers, so a GET goes by a URL that it signs, through the
//!   HTTP client that it hands out: headers and body of one answer, never of two states of an object;
//! - it drops one leading slash of a key, so every key is given one;
//! - URLs drop `.` and `..` segments, so such keys never get here ([`crate::placement`]);
//! - a listing as plain XML cannot carry every key, so `encoding-type=url` is asked for;
//! - header values outside ASCII are sent empty, so they are refused before.

use crate::fault::{Kind, StoreError, answered};
use crate::headers::{Head, bare, content_type, headers, http_time};
use crate::index::Properties;
use crate::key::url_decode;
use crate::settings::Settings;
use crate::tree::whole_millis;
use anyhow::Context;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt};
use s3::command::Command;
use s3::error::S3Error;
use s3::request::request_trait::Request;
use s3::request::tokio_backend::ReqwestRequest;
use s3::serde_types::{HeadObjectResult, Part as S3Part};
use s3::{Bucket, BucketConfiguration, Region};
use std::collections::HashMap;
use std::error::Error as _;
use std::pin::Pin;
use std::time::Duration;

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// S3's first region, whose name a request to make a bucket must not carry.
const FIRST_REGION: &str = "us-east-1";
/// The slowest upload that is waited for, in bytes a second.
const SLOWEST: u64 = 64 * 1024;
/// How long a signed URL is good for, in seconds: S3's own bound on clocks that differ.
const SIGNED_FOR: u32 = 900;

/// A bucket.
#[derive(Clone)]
pub struct Store {
    bucket: Box<Bucket>,
    listing: Box<Bucket>,
    endpoint: String,
}

/// An object as a listing tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// UTC, milliseconds.
    pub modified: DateTime<Utc>,
}

/// A page of a listing.
pub struct Page {
    /// The objects on it.
    pub objects: Vec<Listed>,
    /// Keys that are no UTF-8, as the server wrote them.
    pub unreadable: Vec<String>,
    /// What asks for the next page, if there is one.
    pub next: Option<String>,
}

/// An object that is being read.
pub struct Download {
    /// What the answer says of it.
    pub head: Head,
    body: Pin<Box<dyn Stream<Item = Result<Bytes, StoreError>> + Send>>,
}

/// A finished part of a multipart upload.
pub struct Part(S3Part);

type Answer<T> = Result<T, StoreError>;

impl Store {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// If the client cannot be set up.
    pub fn new(settings: &Settings, bucket: &str) -> anyhow::Result<Self> {
        // Ours tell transient failures apart more finely, and are spread.
        s3::set_retries(0);
        let region =
            Region::Custom { region: settings.region.clone(), endpoint: settings.endpoint.clone() };
        let keys = s3::creds::Credentials::new(
            Some(&settings.access_key),
            Some(&settings.secret_key),
            None,
            settings.session_token.as_deref(),
            None,
        )
        .context("setting up the S3 client")?;
        let mut bucket = Bucket::new(bucket, region, keys).context("setting up the S3 client")?;
        if settings.path_style {
            bucket.set_path_style();
        }
        if let Some(address) = &settings.dial {
            // As a proxy the server itself is asked for the endpoint's own URL, so that Host header
            // and signature keep the endpoint's name; the crate has no other way to dial elsewhere.
            let there = reqwest::Proxy::http(format!("http://{address}"));
            let there = there.with_context(|| format!("--resolve: {address}"))?;
            bucket = Box::new(bucket.set_proxy(there).context("setting up the S3 client")?);
        }
        // The crate's bound is on a whole request, whatever its size; ours is on silence.
        bucket.set_request_timeout(None);
        let encoded = HashMap::from([("encoding-type".to_owned(), "url".to_owned())]);
        let listing = bucket.with_extra_query(encoded).context("setting up the S3 client")?;
        Ok(Self { bucket, listing: Box::new(listing), endpoint: settings.endpoint.clone() })
    }

    /// What the bucket is, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.bucket.name()
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// One page (up to 1,000 objects) of the keys that begin with `prefix`.
    ///
    /// # Errors
    /// If it cannot be had.
    pub async fn list_page(&self, prefix: &str, token: Option<String>) -> Answer<Page> {
        let page = self.listing.list_page(prefix.to_owned(), None, token, None, None);
        let (page, _) = within(SILENCE, page).await?.map_err(|e| explain(&e))?;
        if page.is_truncated && page.next_continuation_token.is_none() {
            return Err(StoreError::permanent("a page of the listing does not say how to go on"));
        }
        let encoded = page.encoding_type.as_deref() == Some("url");
        let mut objects = Vec::with_capacity(page.contents.len());
        let mut unreadable = Vec::new();
        for object in page.contents {
            let key = if encoded { url_decode(&object.key) } else { Some(object.key.clone()) };
            let Some(key) = key else {
                unreadable.push(object.key);
                continue;
            };
            let modified = object.last_modified.parse::<DateTime<Utc>>().map_err(|_| {
                StoreError::permanent(format!("the listing has no time of {}", object.key))
            })?;
            let etag = bare(object.e_tag.as_deref().unwrap_or_default());
            objects.push(Listed { key, size: object.size, etag, modified: whole_millis(modified) });
        }
        let next = page.next_continuation_token.filter(|_| page.is_truncated);
        Ok(Page { objects, unreadable, next })
    }

    /// Makes the bucket.
    ///
    /// # Errors
    /// [`Kind::BucketThere`] if it is there already; if it was not made.
    pub async fn make_bucket(&self) -> Answer<()> {
        let region =
            Region::Custom { region: self.bucket.region.to_string(), endpoint: String::new() };
        // Of the first region S3 will not have it said, of every other it must be.
        let region = (region.to_string() != FIRST_REGION).then_some(region);
        // Without access rules: servers that know none refuse them.
        let config = BucketConfiguration::new(None, false, None, None, None, None, None, region);
        // The crate's own way makes a client of its own, which would not dial where it is told to.
        let request = ReqwestRequest::new(&self.bucket, "", Command::CreateBucket { config }).await;
        let request = request.map_err(|e| explain(&e))?;
        within(SILENCE, request.response_data(false)).await?.map_err(|e| explain(&e))?;
        Ok(())
    }

    /// What is said of an object.
    ///
    /// # Errors
    /// [`Kind::NoKey`] if there is none.
    pub async fn head(&self, key: &str) -> Answer<Head> {
        let (head, _) =
            within(SILENCE, self.bucket.head_object(wire(key))).await?.map_err(|e| explain(&e))?;
        Ok(head_of(head))
    }

    /// Starts reading an object.
    ///
    /// # Errors
    /// [`Kind::NoKey`] if there is none.
    pub async fn get(&self, key: &str) -> Answer<Download> {
        let url = self.bucket.presign_get(wire(key), SIGNED_FOR, None).await;
        let request = self.bucket.http_client().get(url.map_err(|e| explain(&e))?);
        let response = within(SILENCE, request.send()).await?.map_err(|e| network(&e))?;
        let status = response.status().as_u16();
        if status != 200 {
            let body = within(SILENCE, response.text()).await?.unwrap_or_default();
            return Err(answered(status, &body));
        }
        let head = Head::of_headers(response.headers())?;
        let body = response.bytes_stream().map(|piece| piece.map_err(|e| network(&e)));
        Ok(Download { head, body: Box::pin(body) })
    }

    /// Writes an object in one request. The server checks its MD5.
    ///
    /// # Errors
    /// If it was not written, or it is not known whether.
    pub async fn put(&self, key: &str, content: &[u8], properties: &Properties) -> Answer<()> {
        let headers = headers(properties)?;
        let path = wire(key);
        let put = self.bucket.put_object_with_content_type_and_headers(
            &path,
            content,
            content_type(properties),
            Some(headers),
        );
        within(patience(content.len()), put).await?.map_err(|e| explain(&e))?;
        Ok(())
    }

    /// Starts writing an object in parts, and gives the upload's id.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn begin_parts(&self, key: &str, properties: &Properties) -> Answer<String> {
        let headers = headers(properties)?;
        let bucket = self.bucket.with_extra_headers(headers).map_err(|e| explain(&e))?;
        let path = wire(key);
        let begin = bucket.initiate_multipart_upload(&path, content_type(properties));
        Ok(within(SILENCE, begin).await?.map_err(|e| explain(&e))?.upload_id)
    }

    /// Writes one part (numbered from 1). The server checks its MD5.
    ///
    /// # Errors
    /// If it was not written.
    pub async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        content: Vec<u8>,
    ) -> Answer<Part> {
        let (path, limit) = (wire(key), patience(content.len()));
        let put = self.bucket.put_multipart_chunk(
            content,
            &path,
            number,
            upload,
            "application/octet-stream",
        );
        Ok(Part(within(limit, put).await?.map_err(|e| explain(&e))?))
    }

    /// Makes the object out of its parts.
    ///
    /// # Errors
    /// [`Kind::NoKey`] if the upload is not there (any more).
    pub async fn finish_parts(&self, key: &str, upload: &str, parts: &[Part]) -> Answer<()> {
        let parts = parts.iter().map(|p| p.0.clone()).collect();
        let path = wire(key);
        // A server may put gigabytes together before it answers.
        let limit = SILENCE.saturating_mul(10);
        let finish = self.bucket.complete_multipart_upload(&path, upload, parts);
        within(limit, finish).await?.map_err(|e| explain(&e))?;
        Ok(())
    }

    /// Gives up an upload and what was sent of it.
    ///
    /// # Errors
    /// If the server does not say that it is gone.
    pub async fn abort_parts(&self, key: &str, upload: &str) -> Answer<()> {
        let path = wire(key);
        let abort = self.bucket.abort_upload(&path, upload);
        within(SILENCE, abort).await?.map_err(|e| explain(&e))
    }

    /// Deletes an object; one that is not there is deleted.
    ///
    /// # Errors
    /// If the server does not say that it is gone.
    pub async fn delete(&self, key: &str) -> Answer<()> {
        let delete = self.bucket.delete_object(wire(key));
        match within(SILENCE, delete).await?.map_err(|e| explain(&e)) {
            Err(error) if error.kind != Kind::NoKey => Err(error),
            _ => Ok(()),
        }
    }
}

impl Download {
    /// The next bytes, or nothing at the end.
    ///
    /// # Errors
    /// If the connection breaks, or the server is silent for a minute.
    pub async fn chunk(&mut self) -> Answer<Option<Bytes>> {
        within(SILENCE, self.body.next()).await?.transpose()
    }
}

fn head_of(head: HeadObjectResult) -> Head {
    Head {
        size: head.content_length.and_then(|n| n.try_into().ok()),
        etag: bare(&head.e_tag.unwrap_or_default()),
        modified: head.last_modified.and_then(|t| http_time(&t)),
        properties: Properties {
            content_type: head.content_type,
            content_encoding: head.content_encoding,
            content_disposition: head.content_disposition,
            content_language: head.content_language,
            cache_control: head.cache_control,
            expires: head.expires,
            metadata: head.metadata.unwrap_or_default().into_iter().collect(),
        },
        etag_is_md5: false,
    }
}

/// The client drops one leading slash; this one is for it.
fn wire(key: &str) -> String {
    format!("/{key}")
}

fn patience(bytes: usize) -> Duration {
    SILENCE + Duration::from_secs(bytes as u64 / SLOWEST)
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Answer<T> {
    tokio::time::timeout(limit, work).await.map_err(|_| StoreError {
        kind: Kind::Silent,
        message: format!("no answer within {} s", limit.as_secs()),
    })
}

fn explain(error: &S3Error) -> StoreError {
    match error {
        S3Error::HttpFailWithBody(status, body) => answered(*status, body),
        S3Error::Reqwest(error) => network(error),
        // An answer cut short, or one that is not S3's.
        S3Error::SerdeXml(_) | S3Error::Utf8(_) | S3Error::Io(_) => {
            StoreError::transient(format!("an answer that cannot be read: {error}"))
        }
        other => StoreError::permanent(other.to_string()),
    }
}

/// Only the innermost cause is told: the outer ones repeat the URL, and a signed URL is a secret.
fn network(error: &reqwest::Error) -> StoreError {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let message = match error.source() {
        Some(_) => cause.to_string(),
        None => "the connection failed".to_owned(),
    };
    let kind = if error.is_connect() { Kind::Unreachable } else { Kind::Transient };
    StoreError { kind, message }
}
