//! Signature version 4: what says to the server whose request it is, and that nobody changed it.

use crate::object::hash::hex;
use crate::settings::Settings;
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// The keys, and the day's key made of them.
pub struct Signer {
    access_key: String,
    secret_key: String,
    session_token: Option<String>,
    region: String,
    of_day: Mutex<(String, Vec<u8>)>,
}

/// Which blanks in a header's value are signed as one space. The specification says spaces; servers are
/// found that do so with everything that their language calls white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folding {
    /// Spaces.
    Spaces,
    /// Every character that Unicode calls white space.
    WhiteSpace,
}

/// What is signed of a request beside its headers.
pub struct Signed<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as it is sent, percent-encoded.
    pub path: &'a str,
    /// The query as it is sent: encoded, sorted by name.
    pub query: &'a str,
    /// Hex SHA-256 of the body.
    pub payload: &'a str,
    /// How blanks in headers are signed.
    pub folding: Folding,
}

impl Signer {
    /// A signer with the settings' keys.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            access_key: settings.access_key.clone(),
            secret_key: settings.secret_key.clone(),
            session_token: settings.session_token.clone(),
            region: settings.region.clone(),
            of_day: Mutex::default(),
        }
    }

    /// Adds the headers that sign a request; all that are there already are signed.
    ///
    /// # Errors
    /// If a key cannot be written into a header.
    pub fn sign(
        &self,
        request: &Signed<'_>,
        headers: &mut HeaderMap,
        now: DateTime<Utc>,
    ) -> Result<(), http::header::InvalidHeaderValue> {
        let time = now.format("%Y%m%dT%H%M%SZ").to_string();
        headers.insert("x-amz-date", HeaderValue::from_str(&time)?);
        headers.insert("x-amz-content-sha256", HeaderValue::from_str(request.payload)?);
        if let Some(token) = &self.session_token {
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
        let signature = hex(&hmac(&self.key_of(day), text.as_bytes()));
        let mut value = HeaderValue::from_str(&format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        ))?;
        value.set_sensitive(true);
        headers.insert("authorization", value);
        Ok(())
    }

    fn key_of(&self, day: &str) -> Vec<u8> {
        let mut of_day = self.of_day.lock().unwrap_or_else(PoisonError::into_inner);
        if of_day.0 != day {
            let start = format!("AWS4{}", self.secret_key).into_bytes();
            let parts = [day, &self.region, "s3", "aws4_request"];
            let key = parts.iter().fold(start, |key, part| hmac(&key, part.as_bytes()));
            *of_day = (day.to_owned(), key);
        }
        of_day.1.clone()
    }
}

struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Whether both ways of folding blanks would sign a value alike.
#[must_use]
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

/// The headers as they are signed: by name, blanks folded, a line each; and their names.
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
    // A key of any length is one; the other arm cannot be reached.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the signature's specification gives for a GET with a range.
    #[test]
    fn the_example_of_the_specification_is_signed_as_it_says() {
        let signer = Signer {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
            region: "us-east-1".into(),
            of_day: Mutex::default(),
        };
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("examplebucket.s3.amazonaws.com"));
        headers.insert("range", HeaderValue::from_static("bytes=0-9"));
        let payload = hex(&Sha256::digest(b""));
        let request = Signed {
            method: "GET",
            path: "/test.txt",
            query: "",
            payload: &payload,
            folding: Folding::Spaces,
        };
        let now = "2013-05-24T00:00:00Z".parse().unwrap();
        signer.sign(&request, &mut headers, now).unwrap();
        let said = headers["authorization"].to_str().unwrap();
        assert!(
            said.ends_with("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
            "{said}"
        );
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
