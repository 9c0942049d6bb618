//! Keys from a credentials file, or from a server that hands out keys for a while.
//!
//! aws-creds, the part of rust-s3 for this, is not used: it sends the token of a web identity in a URL, asks fixed
//! servers, trusts its own list of authorities instead of the system's, and waits up to a minute for each of them.

use crate::s3::content::Content;
use crate::s3::dial::Dialer;
use crate::s3::document;
use crate::s3::encode;
use crate::s3::fault::{Answer, Kind, StoreError};
use crate::s3::http::Http;
use crate::s3::rate::Rate;
use crate::s3::retry::retrying;
use crate::settings::{KeySource, Keys, Settings};
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, Request};
use serde::Deserialize;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The longest that one request for keys may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Keys are renewed so long before they expire.
const RENEWED_BEFORE: TimeDelta = TimeDelta::minutes(5);
const METADATA: &str = "/latest/meta-data/iam/security-credentials/";

/// The keys of a client, renewed as needed.
pub struct Credentials {
    settings: Settings,
    current: Mutex<Option<Lent>>,
}

/// Keys, and when they expire.
#[derive(Clone)]
struct Lent {
    keys: Keys,
    expires: Option<DateTime<Utc>>,
}

/// The answer of a service of containers and virtual machines.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<DateTime<Utc>>,
}

impl Credentials {
    /// Nothing is asked yet.
    pub fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), current: Mutex::default() }
    }

    /// Keys that are valid now.
    ///
    /// # Errors
    /// If they cannot be had; [`Kind::Denied`] if they are refused.
    pub async fn keys(&self) -> Answer<Keys> {
        if let KeySource::Given(keys) = &self.settings.keys {
            return Ok(keys.clone());
        }
        let mut current = self.current.lock().await;
        let now = Utc::now();
        if let Some(lent) = current.as_ref()
            && lent.expires.is_none_or(|expires| now < expires - RENEWED_BEFORE)
        {
            return Ok(lent.keys.clone());
        }
        match (self.obtain().await, current.as_ref()) {
            (Ok(lent), _) => Ok(current.insert(lent).keys.clone()),
            // Those at hand are still good.
            (Err(_), Some(lent)) if lent.expires.is_some_and(|expires| now < expires) => {
                Ok(lent.keys.clone())
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn obtain(&self) -> Answer<Lent> {
        match &self.settings.keys {
            KeySource::Given(keys) => Ok(Lent { keys: keys.clone(), expires: None }),
            KeySource::Profile { file, name } => of_profile(file, name),
            KeySource::WebIdentity { role, token_file, session, url } => {
                let token = read(token_file)?;
                let body = encode::query(&[
                    ("Action", "AssumeRoleWithWebIdentity"),
                    ("Version", "2011-06-15"),
                    ("RoleArn", role),
                    ("RoleSessionName", session),
                    ("WebIdentityToken", token.trim()),
                ]);
                let form = ("content-type", "application/x-www-form-urlencoded");
                of_token_service(&self.ask("POST", url, &[form], body).await?)
            }
            KeySource::Container { url, token_file } => {
                if token_file.is_some() && !keeps_secrets(url) {
                    let why = "obtaining keys: a token is sent only over https, or to this host";
                    return Err(StoreError::permanent(why));
                }
                let token = token_file.as_deref().map(read).transpose()?;
                let header = token.as_ref().map(|token| ("authorization", token.trim()));
                of_document(&self.ask("GET", url, header.as_slice(), String::new()).await?)
            }
            KeySource::Instance { url } => self.of_instance(url.trim_end_matches('/')).await,
        }
    }

    async fn of_instance(&self, url: &str) -> Answer<Lent> {
        let lifetime = ("x-aws-ec2-metadata-token-ttl-seconds", "300");
        let path = format!("{url}/latest/api/token");
        let token = text(self.ask("PUT", &path, &[lifetime], String::new()).await?)?;
        let header = [("x-aws-ec2-metadata-token", token.trim())];
        let list = self.ask("GET", &format!("{url}{METADATA}"), &header, String::new()).await?;
        let list = text(list)?;
        let role = list.lines().next().unwrap_or_default().trim();
        if role.is_empty() {
            return Err(StoreError::permanent("this virtual machine has no role with keys"));
        }
        let path = format!("{url}{METADATA}{}", encode::path(role));
        of_document(&self.ask("GET", &path, &header, String::new()).await?)
    }

    /// The body of a service's answer.
    async fn ask(
        &self,
        method: &str,
        url: &str,
        headers: &[(&'static str, &str)],
        body: String,
    ) -> Answer<Vec<u8>> {
        let named = |error: StoreError| StoreError {
            message: format!("obtaining keys from {}: {error}", host(url)),
            ..error
        };
        let asked = retrying(|failures| {
            let asked = tokio::time::timeout(TIMEOUT, self.ask_once(method, url, headers, &body));
            async move {
                let silent = || StoreError::new(Kind::Silent, "no answer within 10 s");
                match asked.await.unwrap_or_else(|_| Err(silent())) {
                    // Where there is no such service, there will be none.
                    Err(error) if error.is_transient() && failures > 0 => {
                        Err(StoreError { kind: Kind::Permanent, ..error })
                    }
                    other => other,
                }
            }
        });
        asked.await.map_err(named)
    }

    async fn ask_once(
        &self,
        method: &str,
        url: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Answer<Vec<u8>> {
        let invalid = || StoreError::permanent("its URL is not valid");
        let (_, rest) = url.split_once("://").ok_or_else(invalid)?;
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let dialer = Dialer::new(&self.settings.with_endpoint(url), host)
            .map_err(|error| StoreError::permanent(format!("{error:#}")))?;
        let http = Http::new(dialer, TIMEOUT, Arc::new(Rate::default()));
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        for (name, value) in headers {
            let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        let request = request.body(Content::from(body.to_owned())).map_err(|_| invalid())?;
        let mut response = http.send(request, 1).await?;
        match response.status {
            200 => response.bytes().await,
            _ => Err(response.into_error().await),
        }
    }
}

/// Whether a URL is of TLS, or of an address that no other host has.
fn keeps_secrets(url: &str) -> bool {
    let host = host(url);
    let name = host.rsplit_once(':').map_or(host, |(name, port)| match port.parse::<u16>() {
        Ok(_) => name,
        Err(_) => host,
    });
    let is_local = match name.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        Err(_) => name == "localhost",
    };
    url.starts_with("https:") || is_local
}

/// The host of a URL, for messages: a path may hold a name that is nobody's business.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

fn text(bytes: Vec<u8>) -> Answer<String> {
    String::from_utf8(bytes).map_err(|_| unreadable())
}

/// The content is not repeated.
fn unreadable() -> StoreError {
    StoreError::permanent("obtaining keys: the answer cannot be read")
}

fn read(path: &Path) -> Answer<String> {
    std::fs::read_to_string(path).map_err(|error| {
        StoreError::permanent(format!("obtaining keys: reading {}: {error}", path.display()))
    })
}

fn of_document(bytes: &[u8]) -> Answer<Lent> {
    let document: Document = serde_json::from_slice(bytes).map_err(|_| unreadable())?;
    Ok(Lent {
        keys: Keys {
            access_key: document.access_key_id,
            secret_key: document.secret_access_key,
            session_token: document.token,
        },
        expires: document.expiration,
    })
}

fn of_token_service(bytes: &[u8]) -> Answer<Lent> {
    // The error would repeat what the service sent.
    let root = "AssumeRoleWithWebIdentityResponse";
    let answer = document::Document::of(&HeaderMap::new(), bytes.to_vec(), root)
        .map_err(|_| unreadable())?;
    let element = |name| answer.find(name).ok().flatten().ok_or_else(unreadable);
    let keys = Keys {
        access_key: element("AccessKeyId")?,
        secret_key: element("SecretAccessKey")?,
        session_token: Some(element("SessionToken")?),
    };
    Ok(Lent { keys, expires: element("Expiration")?.parse().ok() })
}

fn of_profile(file: &Path, name: &str) -> Answer<Lent> {
    let keys = profile(&read(file)?, name).ok_or_else(|| {
        let file = file.display();
        StoreError::permanent(format!(
            "obtaining keys: {file} has no profile {name} with aws_access_key_id and aws_secret_access_key"
        ))
    })?;
    Ok(Lent { keys, expires: None })
}

/// The keys of a profile: lines `name = value` below `[PROFILE]`.
fn profile(text: &str, name: &str) -> Option<Keys> {
    let section = |line: &str| {
        let line = line.strip_prefix('[')?.split(']').next()?.trim();
        Some(line.strip_prefix("profile ").unwrap_or(line).trim().to_owned())
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let after = lines.skip_while(|line| section(line).as_deref() != Some(name)).skip(1);
    let own: Vec<&str> = after.take_while(|line| section(line).is_none()).collect();
    let value = |key: &str| {
        let pairs = own.iter().filter_map(|line| line.split_once('='));
        let mut found = pairs.filter(|(k, _)| k.trim().eq_ignore_ascii_case(key));
        found.next().map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    Some(Keys {
        access_key: value("aws_access_key_id")?,
        secret_key: value("aws_secret_access_key")?,
        session_token: value("aws_session_token"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_its_own_section() {
        let text = "[default]\naws_access_key_id = a\naws_secret_access_key = s=1 \n\n\
            # a comment\n[ other ]\nAWS_ACCESS_KEY_ID=b\naws_secret_access_key=t\n\
            aws_session_token = u\n[half]\naws_access_key_id = c\n[last]\n";
        let keys = |name| {
            let keys = profile(text, name)?;
            Some((keys.access_key, keys.secret_key, keys.session_token))
        };
        assert_eq!(keys("default"), Some(("a".into(), "s=1".into(), None)));
        assert_eq!(keys("other"), Some(("b".into(), "t".into(), Some("u".into()))));
        for none in ["half", "last", "none"] {
            assert_eq!(keys(none), None);
        }
    }

    #[test]
    fn a_token_stays_on_this_host_or_goes_over_tls() {
        let kept = [
            "https://x.example",
            "http://127.0.0.1:80/a",
            "http://169.254.170.23/v1",
            "http://[fd00:ec2::23]/v1",
            "http://localhost:1",
        ];
        for url in kept {
            assert!(keeps_secrets(url), "{url}");
        }
        for url in ["http://x.example/", "http://10.0.0.1", "http://127.0.0.1.x.example"] {
            assert!(!keeps_secrets(url), "{url}");
        }
    }

    #[test]
    fn an_answer_that_is_not_one_is_not_repeated() {
        for bytes in [&b"{\"SecretAccessKey\": \"hush\"}"[..], b"<a>hush</a>", b"hush"] {
            for read in [of_document, of_token_service] {
                let error = read(bytes).err().unwrap();
                assert!(!error.message.contains("hush"), "{error}");
            }
        }
    }
}
