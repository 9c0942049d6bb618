//! Where servers differ from the crate that speaks S3 here: what is done to requests before it sees them,
//! and to its answers.

use super::client::signature;
use super::keys::Keys;
use super::object::hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, EXPIRES, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use md5::{Digest, Md5};
use s3s::Body;

/// Marks a value that stands for bytes.
const MARK: &str = "=octets=";
/// Keeps what the crate would take for a time.
const EXPIRES_KEPT: HeaderName = HeaderName::from_static("x-amz-meta-octets-of-expires");
/// The longest list of keys to delete, bytes.
const LONGEST_LIST: usize = 4 << 20;

/// What kind of server this is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Headers' values are bytes, given back as they came, as MinIO and Ceph have it. Without it, only ASCII
    /// goes in standard headers, and UTF-8 in metadata; everything else is refused with 400.
    pub octets: bool,
    /// Uploads need a `Content-MD5`, as in a bucket with Object Lock.
    pub demands_md5: bool,
    /// Requests with `x-amz-checksum-*` are not understood, as some servers have it.
    pub refuses_checksums: bool,
    /// No answer shows the lock of an object.
    pub hides_locks: bool,
}

/// A request that is answered at once.
pub(super) type Refusal = Box<Response<Body>>;

impl Rules {
    pub(super) async fn admit(
        self,
        request: Request<Body>,
        keys: &Keys,
    ) -> Result<Request<Body>, Refusal> {
        let (mut head, mut body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        let deletes =
            head.method == Method::POST && query.split('&').any(|q| q.starts_with("delete"));
        self.check_sums(&head.headers, deletes || is_upload(&head))?;
        check_length(&head)?;
        if deletes {
            let whole = body.store_all_limited(LONGEST_LIST).await;
            let whole =
                whole.map_err(|_| refusal(StatusCode::BAD_REQUEST, "IncompleteBody", ""))?;
            let md5 = STANDARD.encode(Md5::digest(&whole));
            if head.headers.get("content-md5").is_some_and(|sent| *sent != *md5) {
                return Err(refusal(StatusCode::BAD_REQUEST, "BadDigest", "other bytes came"));
            }
        }
        if self.octets && head.headers.iter().any(|(name, value)| is_odd(name, value)) {
            let given = Given::of(&head.headers).ok_or_else(not_its_signature)?;
            let place = (head.method.as_str(), head.uri.path(), query);
            if given.sign(place, &head.headers, keys) != given.signature {
                return Err(not_its_signature());
            }
            let mut names = Vec::new();
            let mut plain = HeaderMap::new();
            for (name, value) in &head.headers {
                let kept = if name == EXPIRES { &EXPIRES_KEPT } else { name };
                let value = if is_odd(name, value) { marked(value) } else { value.clone() };
                if given.names.contains(&name.as_str()) {
                    names.push(kept.as_str().to_owned());
                }
                plain.append(kept, value);
            }
            names.sort_unstable();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let again = Given { names, ..given };
            let signature = again.sign(place, &plain, keys);
            let value = format!(
                "AWS4-HMAC-SHA256 Credential={}, SignedHeaders={}, Signature={signature}",
                again.credential,
                again.names.join(";")
            );
            if let Ok(value) = HeaderValue::try_from(value) {
                plain.insert(AUTHORIZATION, value);
            }
            head.headers = plain;
        }
        Ok(Request::from_parts(head, body))
    }

    /// Refuses an upload without the checksum that is demanded, and one that is not understood.
    fn check_sums(self, headers: &HeaderMap, needs_md5: bool) -> Result<(), Refusal> {
        if self.demands_md5 && needs_md5 && !headers.contains_key("content-md5") {
            let words = "Content-MD5 is required";
            return Err(refusal(StatusCode::BAD_REQUEST, "InvalidRequest", words));
        }
        let is_checksum = |name: &HeaderName| name.as_str().starts_with("x-amz-checksum-");
        if self.refuses_checksums && headers.keys().any(is_checksum) {
            return Err(refusal(
                StatusCode::NOT_IMPLEMENTED,
                "NotImplemented",
                "no checksums here",
            ));
        }
        Ok(())
    }

    /// Gives back what was marked.
    pub(super) fn release(self, headers: &mut HeaderMap) {
        if self.hides_locks {
            headers.remove("x-amz-object-lock-mode");
            headers.remove("x-amz-object-lock-retain-until-date");
        }
        if !self.octets {
            return;
        }
        for value in headers.values_mut() {
            let hidden = value.to_str().ok().and_then(|text| text.strip_prefix(MARK));
            if let Some(bytes) = hidden.and_then(octets) {
                *value = bytes;
            }
        }
        if let Some(expires) = headers.remove(EXPIRES_KEPT) {
            headers.insert(EXPIRES, expires);
        }
    }
}

/// Refuses an upload whose length is not given, of no bytes too, as S3 and Ceph do.
fn check_length(head: &Parts) -> Result<(), Refusal> {
    let given = [CONTENT_LENGTH, TRANSFER_ENCODING];
    if is_upload(head) && !given.iter().any(|name| head.headers.contains_key(name)) {
        let words = "You must provide the Content-Length HTTP header.";
        return Err(refusal(StatusCode::LENGTH_REQUIRED, "MissingContentLength", words));
    }
    Ok(())
}

fn is_upload(head: &Parts) -> bool {
    head.method == Method::PUT && head.uri.path().matches('/').count() > 1
}

/// What a request's signature declares of itself.
struct Given<'a> {
    credential: &'a str,
    names: Vec<&'a str>,
    signature: &'a str,
    payload: &'a str,
    time: &'a str,
}

impl<'a> Given<'a> {
    fn of(headers: &'a HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let parts = text("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let part = |name: &str| {
            parts.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        Some(Self {
            credential: part("Credential")?,
            names: part("SignedHeaders")?.split(';').collect(),
            signature: part("Signature")?,
            payload: text("x-amz-content-sha256")?,
            time: text("x-amz-date")?,
        })
    }

    fn sign(&self, place: (&str, &str, &str), headers: &HeaderMap, keys: &Keys) -> String {
        let all = |name: &&str| {
            let values: Vec<_> = headers.get_all(*name).iter().map(HeaderValue::as_bytes).collect();
            ((*name).to_owned(), values.join(&b","[..]))
        };
        let signed: Vec<(String, Vec<u8>)> = self.names.iter().map(all).collect();
        let scope = self.credential.split_once('/').map_or("", |(_, scope)| scope);
        signature(place, &signed, self.payload, (self.time, scope), &keys.secret)
    }
}

/// Whether the crate would not keep a header as it came.
fn is_odd(name: &HeaderName, value: &HeaderValue) -> bool {
    let is_plain = value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~'));
    let is_encoded_word = value.as_bytes().starts_with(b"=?");
    !is_plain || is_encoded_word || name == EXPIRES
}

fn marked(value: &HeaderValue) -> HeaderValue {
    let text = format!("{MARK}{}", hex(value.as_bytes()));
    HeaderValue::try_from(text).unwrap_or_else(|_| value.clone())
}

fn octets(digits: &str) -> Option<HeaderValue> {
    let digit = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(digit).collect();
    HeaderValue::from_bytes(&bytes?).ok()
}

fn not_its_signature() -> Refusal {
    let words = "The request signature we calculated does not match the signature you provided";
    refusal(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", words)
}

fn refusal(status: StatusCode, code: &str, words: &str) -> Refusal {
    let text = format!("<Error><Code>{code}</Code><Message>{words}</Message></Error>");
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    Box::new(answer)
}
