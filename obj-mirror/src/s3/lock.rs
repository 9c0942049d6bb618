//! Object Lock: until when an object cannot be deleted or replaced.

use crate::s3::fault::Answer;
use crate::s3::store::{CONTENT_MD5, S3Request, Store, value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use http::HeaderMap;
use md5::{Digest, Md5};

const RETAIN_UNTIL: &str = "x-amz-object-lock-retain-until-date";

/// Who can end the lock of an object early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RetainMode {
    /// Keys with a special permission can
    #[default]
    Governance,
    /// Nobody can, not even the account's owner
    Compliance,
}

/// A lock with a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub mode: RetainMode,
    pub until: DateTime<Utc>,
}

impl RetainMode {
    fn name(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

impl Retention {
    fn date(self) -> String {
        self.until.to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// Adds the headers that lock an object as it is stored.
    pub fn add_to(self, headers: &mut HeaderMap) -> Answer<()> {
        headers.insert("x-amz-object-lock-mode", value(self.mode.name())?);
        headers.insert(RETAIN_UNTIL, value(&self.date())?);
        Ok(())
    }
}

impl Store {
    /// Locks an object that is stored already.
    pub async fn set_retention(&self, key: &str, retention: Retention) -> Answer<()> {
        let body = format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{}</Mode>\
             <RetainUntilDate>{}</RetainUntilDate></Retention>",
            retention.mode.name(),
            retention.date()
        );
        let md5 = value(&STANDARD.encode(Md5::digest(&body)))?;
        let query = [("retention", "")];
        let request = S3Request {
            method: "PUT",
            key: Some(key),
            query: &query,
            headers: HeaderMap::from_iter([(CONTENT_MD5, md5)]),
            body: body.into(),
            ..S3Request::default()
        };
        self.done(request, &[200]).await
    }
}

impl Store {
    /// Until when the server shows an object as locked; none if it shows no lock.
    pub async fn locked_until(&self, key: &str) -> Answer<Option<DateTime<Utc>>> {
        let request = S3Request { method: "HEAD", key: Some(key), ..S3Request::default() };
        let mut response = self.expect(request, &[200]).await?;
        response.bytes().await?;
        let shown = response.headers.get(RETAIN_UNTIL).and_then(|value| value.to_str().ok());
        let until = shown.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        Ok(until.map(|until| until.with_timezone(&Utc)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_two_headers() {
        let until = "2026-11-22T11:21:22.5Z".parse().unwrap();
        let mut headers = HeaderMap::new();
        Retention { mode: RetainMode::Compliance, until }.add_to(&mut headers).unwrap();
        assert_eq!(headers["x-amz-object-lock-mode"], "COMPLIANCE");
        assert_eq!(headers["x-amz-object-lock-retain-until-date"], "2026-11-22T11:21:22Z");
    }
}
