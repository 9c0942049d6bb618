//! A small S3 client of the tests' own: it signs and sends exactly what a test asks for, so that
//! it can name keys and headers that a library would tidy up, and does not share the tools' mistakes.

use super::object::hex;
use anyhow::{Context, Result, bail};
use chrono::Utc;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where to ask, and the keys to sign with.
#[derive(Clone)]
pub struct Client {
    endpoint: String,
    access_key: String,
    secret_key: String,
    agent: ureq::Agent,
}

/// What the server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers in the order sent, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The same as their bytes.
    pub octets: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// A client of `http://HOST:PORT`.
    #[must_use]
    pub fn new(endpoint: &str, access_key: &str, secret_key: &str) -> Self {
        Self::with(endpoint, access_key, secret_key, TlsConfig::default())
    }

    /// A client of `https://HOST:PORT` that trusts one authority, given by its certificate (PEM).
    ///
    /// # Errors
    /// If that is no certificate.
    pub fn trusting(
        authority: &[u8],
        endpoint: &str,
        access_key: &str,
        secret_key: &str,
    ) -> Result<Self> {
        let authority = Certificate::from_pem(authority).context("the authority's certificate")?;
        let roots = RootCerts::new_with_certs(&[authority]);
        let tls = TlsConfig::builder().root_certs(roots).build();
        Ok(Self::with(endpoint, access_key, secret_key, tls))
    }

    fn with(endpoint: &str, access_key: &str, secret_key: &str, tls: TlsConfig) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .tls_config(tls)
            .proxy(None);
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            agent: config.build().into(),
        }
    }

    /// Sends one signed request. `key` is empty for a request to the bucket itself.
    ///
    /// # Errors
    /// If no answer comes; an answer of any status is none.
    pub fn request(
        &self,
        method: &str,
        (bucket, key): (&str, &str),
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        self.request_octets(method, (bucket, key), query, &headers, body)
    }

    /// The same with headers whose values are any bytes.
    ///
    /// # Errors
    /// If no answer comes; an answer of any status is none.
    pub fn request_octets(
        &self,
        method: &str,
        (bucket, key): (&str, &str),
        query: &[(&str, &str)],
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Result<Answer> {
        let path = match (bucket, key) {
            ("", _) => "/".to_owned(),
            (bucket, "") => format!("/{bucket}"),
            (bucket, key) => format!("/{bucket}/{}", encode(key, true)),
        };
        let mut query: Vec<String> = query
            .iter()
            .map(|(k, v)| format!("{}={}", encode(k, false), encode(v, false)))
            .collect();
        query.sort();
        let query = query.join("&");
        let host = self.endpoint.split_once("://").map_or(self.endpoint.as_str(), |(_, host)| host);
        let now = Utc::now();
        let payload = hex(&Sha256::digest(body));
        let time = now.format("%Y%m%dT%H%M%SZ").to_string();
        let mut signed = vec![
            ("host".to_owned(), host.as_bytes().to_vec()),
            ("x-amz-content-sha256".to_owned(), payload.clone().into_bytes()),
            ("x-amz-date".to_owned(), time.clone().into_bytes()),
        ];
        signed.extend(headers.iter().map(|(n, v)| (n.to_lowercase(), v.to_vec())));
        signed.sort();
        let names: Vec<&str> = signed.iter().map(|(n, _)| n.as_str()).collect();
        let scope = format!("{}/us-east-1/s3/aws4_request", now.format("%Y%m%d"));
        let place = (method, path.as_str(), query.as_str());
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={}, Signature={}",
            self.access_key,
            names.join(";"),
            signature(place, &signed, &payload, (&time, &scope), &self.secret_key)
        );

        let uri =
            format!("{}{path}{}{query}", self.endpoint, if query.is_empty() { "" } else { "?" });
        let mut request = ureq::http::Request::builder().method(method).uri(uri);
        for (name, value) in signed.iter().filter(|(name, _)| name != "host") {
            request = request.header(name, &value[..]);
        }
        request = request.header("authorization", authorization);
        let what = || format!("{method} {bucket}/{key}");
        let answer = if matches!(method, "PUT" | "POST") {
            self.agent.run(request.body(body).with_context(what)?)
        } else {
            self.agent.run(request.body(()).with_context(what)?)
        };
        read(answer.with_context(what)?).with_context(what)
    }

    /// Makes a bucket; it may be there.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn create_bucket(&self, bucket: &str) -> Result<()> {
        let answer = self.request("PUT", (bucket, ""), &[], &[], b"")?;
        if answer.status == 409 { Ok(()) } else { expect(answer, 200).map(drop) }
    }

    /// Removes an empty bucket.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn delete_bucket(&self, bucket: &str) -> Result<()> {
        expect(self.request("DELETE", (bucket, ""), &[], &[], b"")?, 204).map(drop)
    }

    /// Stores an object with the headers given (`content-type`, `x-amz-meta-…`, `x-amz-tagging`, …).
    ///
    /// # Errors
    /// If the server refuses.
    pub fn put(&self, at: (&str, &str), headers: &[(&str, &str)], body: &[u8]) -> Result<()> {
        expect(self.request("PUT", at, &[], headers, body)?, 200).map(drop)
    }

    /// Stores an object with headers whose values are any bytes.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn put_octets(
        &self,
        at: (&str, &str),
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Result<()> {
        expect(self.request_octets("PUT", at, &[], headers, body)?, 200).map(drop)
    }

    /// An object with its headers.
    ///
    /// # Errors
    /// If it is not there.
    pub fn get(&self, at: (&str, &str)) -> Result<Answer> {
        expect(self.request("GET", at, &[], &[], b"")?, 200)
    }

    /// Removes an object; it may be gone.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn delete(&self, at: (&str, &str)) -> Result<()> {
        expect(self.request("DELETE", at, &[], &[], b"")?, 204).map(drop)
    }

    /// An object's tags, sorted, as `name=value`.
    ///
    /// # Errors
    /// If it is not there.
    pub fn tags(&self, at: (&str, &str)) -> Result<Vec<String>> {
        let answer = expect(self.request("GET", at, &[("tagging", "")], &[], b"")?, 200)?.text();
        let values = elements(&answer, "Value");
        let mut tags: Vec<String> =
            elements(&answer, "Key").iter().zip(values).map(|(k, v)| format!("{k}={v}")).collect();
        tags.sort();
        Ok(tags)
    }

    /// All keys of a bucket that begin with `prefix`, in the order of their bytes.
    ///
    /// # Errors
    /// If the bucket is not there.
    pub fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut token = None::<String>;
        loop {
            let mut query = vec![("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix)];
            query.extend(token.as_deref().map(|t| ("continuation-token", t)));
            let page = expect(self.request("GET", (bucket, ""), &query, &[], b"")?, 200)?.text();
            keys.extend(elements(&page, "Key").iter().map(|k| decode(k)));
            match elements(&page, "NextContinuationToken").pop() {
                Some(next) => token = Some(next),
                None => return Ok(keys),
            }
        }
    }
}

fn read(answer: ureq::http::Response<ureq::Body>) -> Result<Answer> {
    let (parts, mut body) = answer.into_parts();
    let text = |v: &ureq::http::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers.iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect(),
        octets: parts.headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect(),
        body: body.with_config().limit(u64::MAX).read_to_vec().context("reading the answer")?,
    })
}

fn expect(answer: Answer, status: u16) -> Result<Answer> {
    if answer.status != status {
        let code = elements(&answer.text(), "Code").pop().unwrap_or_default();
        bail!("the server answered {} {code}", answer.status);
    }
    Ok(answer)
}

/// The signature (version 4) of a request: its method, path and query; the headers that it covers, sorted; the
/// hash of its body; the moment and the scope that it counts in.
pub(super) fn signature(
    (method, path, query): (&str, &str, &str),
    headers: &[(String, Vec<u8>)],
    payload: &str,
    (time, scope): (&str, &str),
    secret_key: &str,
) -> String {
    let names: Vec<&str> = headers.iter().map(|(n, _)| n.as_str()).collect();
    let mut canonical = format!("{method}\n{path}\n{query}\n").into_bytes();
    for (name, value) in headers {
        canonical.extend([name.as_bytes(), b":", &folded(value), b"\n"].concat());
    }
    canonical.extend(format!("\n{}\n{payload}", names.join(";")).bytes());
    let hash = hex(&Sha256::digest(canonical));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
    let start = format!("AWS4{secret_key}").into_bytes();
    let key = scope.split('/').fold(start, |key, part| hmac(&key, part.as_bytes()));
    hex(&hmac(&key, to_sign.as_bytes()))
}

/// White space folded as Go does it: of a text as Unicode has it, else of the bytes.
fn folded(value: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> = match std::str::from_utf8(value) {
        Ok(text) => text.split_whitespace().map(str::as_bytes).collect(),
        Err(_) => value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect(),
    };
    words.join(&b" "[..])
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    // A key of any length is one; the other arm cannot be reached.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn encode(text: &str, keep_slashes: bool) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        b'/' if keep_slashes => "/".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

fn decode(text: &str) -> String {
    url::form_urlencoded::parse(text.as_bytes()).map(|(key, _)| key.into_owned()).collect()
}

/// The texts of all elements of a name: enough XML for answers whose form is known.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inner = |part: &str| part.split_once(&close).map(|(text, _)| text.to_owned());
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    let plain =
        |text: String| entities.iter().fold(text, |text, (from, to)| text.replace(from, to));
    xml.split(&open).skip(1).filter_map(inner).map(plain).collect()
}
