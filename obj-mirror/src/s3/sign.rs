//! AWS Signature Version 4.

use crate::settings::Keys;
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderValue};
use pipe_kit::text::hex;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// Signs requests for a region. The signing key derived for a day is kept.
pub struct Signer {
    region: String,
    derived: Mutex<Derived>,
}

/// A signing key, and what it was derived from.
#[derive(Default)]
struct Derived {
    day: String,
    secret_key: String,
    key: Vec<u8>,
}

/// Which blanks in a header's value are signed as one space. The specification names spaces; some servers
/// fold everything that their language calls white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folding {
    Spaces,
    /// Every character that Unicode calls white space.
    WhiteSpace,
}

/// What is signed of a request besides its headers.
pub struct Signed<'a> {
    pub method: &'a str,
    /// Percent-encoded, as sent.
    pub path: &'a str,
    /// Encoded and sorted by name, as sent.
    pub query: &'a str,
    /// Hex SHA-256 of the body.
    pub payload: &'a str,
    pub folding: Folding,
}

impl Signer {
    pub fn new(region: &str) -> Self {
        Self { region: region.to_owned(), derived: Mutex::default() }
    }

    /// Adds the headers that sign a request. All headers that are present already are signed.
    pub fn sign(
        &self,
        keys: &Keys,
        request: &Signed<'_>,
        headers: &mut HeaderMap,
        now: DateTime<Utc>,
    ) -> Result<(), http::header::InvalidHeaderValue> {
        let time = now.format("%Y%m%dT%H%M%SZ").to_string();
        headers.insert("x-amz-date", HeaderValue::from_str(&time)?);
        headers.insert("x-amz-content-sha256", HeaderValue::from_str(request.payload)?);
        if let Some(token) = &keys.session_token {
            let mut token = HeaderValue::from_str(token)?;
            token.set_sensitive(true);
            headers.insert("x-amz-security-token", token);
        }
        let (lines, names) = canonical_headers(headers, request.folding);
        let Signed { method, path, query, payload, .. } = request;
        let mut canonical = format!("{method}\n{path}\n{query}\n").into_bytes();
        canonical.extend_from_slice(&lines);
        let _ = write!(Text(&mut canonical), "\n{names}\n{payload}");

        let day = &time[..8];
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let hash = hex(&Sha256::digest(&canonical));
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
        let signature = hex(&hmac(&self.key_of(day, &keys.secret_key), text.as_bytes()));
        let mut value = HeaderValue::from_str(&format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            keys.access_key
        ))?;
        value.set_sensitive(true);
        headers.insert("authorization", value);
        Ok(())
    }

    fn key_of(&self, day: &str, secret_key: &str) -> Vec<u8> {
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if derived.day != day || derived.secret_key != secret_key {
            let start = format!("AWS4{secret_key}").into_bytes();
            let parts = [day, &self.region, "s3", "aws4_request"];
            let key = parts.iter().fold(start, |key, part| hmac(&key, part.as_bytes()));
            *derived = Derived { day: day.to_owned(), secret_key: secret_key.to_owned(), key };
        }
        derived.key.clone()
    }
}

struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Whether both foldings sign a value alike.
pub fn folds_alike(value: &HeaderValue) -> bool {
    folded(value.as_bytes(), Folding::Spaces) == folded(value.as_bytes(), Folding::WhiteSpace)
}

/// A value's bytes, whatever they are, with blanks folded.
fn folded(value: &[u8], folding: Folding) -> Vec<u8> {
    let words: Vec<&[u8]> = match (folding, std::str::from_utf8(value)) {
        (Folding::WhiteSpace, Ok(text)) => text.split_whitespace().map(str::as_bytes).collect(),
        (Folding::WhiteSpace, Err(_)) => value.split(u8::is_ascii_whitespace).collect(),
        (Folding::Spaces, _) => value.split(|byte| *byte == b' ').collect(),
    };
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(&b" "[..])
}

/// The canonical headers, sorted by name with blanks folded; and their names.
fn canonical_headers(headers: &HeaderMap, folding: Folding) -> (Vec<u8>, String) {
    let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let mut lines = Vec::new();
    for name in &names {
        lines.extend_from_slice(name.as_bytes());
        lines.push(b':');
        for (n, value) in headers.get_all(*name).iter().enumerate() {
            if n > 0 {
                lines.push(b',');
            }
            lines.extend_from_slice(&folded(value.as_bytes(), folding));
        }
        lines.push(b'\n');
    }
    (lines, names.join(";"))
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    // HMAC accepts keys of any length; the other arm is unreachable.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::encode;

    /// The examples of the documentation of Signature Version 4 for S3.
    #[test]
    fn the_examples_of_the_specification_have_their_signatures() {
        let signer = Signer::new("us-east-1");
        let keys = Keys {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        };
        let put = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        let list = [("max-keys", "2"), ("prefix", "J")];
        type Pairs<'a> = &'a [(&'static str, &'static str)];
        let examples: [(&str, &str, Pairs<'_>, Pairs<'_>, &str, &str); 4] = [
            (
                "GET",
                "test.txt",
                &[],
                &[("range", "bytes=0-9")],
                "",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "test$file.text",
                &[],
                &put,
                "Welcome to Amazon S3.",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "",
                &[("lifecycle", "")],
                &[],
                "",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET",
                "",
                &list,
                &[],
                "",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ];
        for (method, key, query, headers, body, signature) in examples {
            let mut headers: HeaderMap = headers
                .iter()
                .map(|(n, v)| (http::HeaderName::from_static(n), HeaderValue::from_static(v)))
                .collect();
            headers.insert("host", HeaderValue::from_static("examplebucket.s3.amazonaws.com"));
            let (path, query) = (format!("/{}", encode::path(key)), encode::query(query));
            let payload = hex(&Sha256::digest(body));
            let folding = Folding::Spaces;
            let request = Signed { method, path: &path, query: &query, payload: &payload, folding };
            let then = "2013-05-24T00:00:00Z".parse().unwrap();
            signer.sign(&keys, &request, &mut headers, then).unwrap();
            let signed = headers["authorization"].to_str().unwrap();
            assert!(signed.ends_with(signature), "{method} {path}: {signed}");
        }
    }

    #[test]
    fn blanks_in_a_signed_header_are_folded_and_other_bytes_are_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-meta-b", HeaderValue::from_bytes(b"a  \xe9 \xc3\xbc ").unwrap());
        headers.insert("host", HeaderValue::from_static("h"));
        for folding in [Folding::Spaces, Folding::WhiteSpace] {
            let (lines, names) = canonical_headers(&headers, folding);
            assert_eq!(lines, b"host:h\nx-amz-meta-b:a \xe9 \xc3\xbc\n");
            assert_eq!(names, "host;x-amz-meta-b");
        }
    }

    #[test]
    fn blanks_that_are_no_spaces_are_folded_where_the_server_does() {
        let cases: [(&[u8], &[u8]); 4] = [
            (b"a\tb", b"a b"),
            ("a\u{a0}b".as_bytes(), b"a b"),
            (b"\xe9\tb", b"\xe9 b"),
            (b"\xe9\xa0b", b"\xe9\xa0b"),
        ];
        for (value, wanted) in cases {
            assert_eq!(folded(value, Folding::Spaces), value);
            assert_eq!(folded(value, Folding::WhiteSpace), wanted);
            let value = HeaderValue::from_bytes(value).unwrap();
            assert_eq!(folds_alike(&value), value.as_bytes() == wanted);
        }
    }
}
