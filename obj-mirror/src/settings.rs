//! The settings of the object storage, from the environment.

use pipe_kit::Stop;
use pipe_kit::address::{Addresses, joined};
use std::path::PathBuf;

/// How to reach the object storage, and with which keys.
#[derive(Clone)]
pub struct Settings {
    /// `http://` or `https://`, no trailing slash, no default port.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Whether the bucket is in the path rather than in the host name.
    pub path_style: bool,
    pub access_key: String,
    /// Never printed.
    pub secret_key: String,
    /// Never printed.
    pub session_token: Option<String>,
    /// Certificate authorities (PEM) to trust instead of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// The `ADDRESS:PORT` to connect to instead of the endpoint's own.
    pub dial: Option<String>,
}

impl Settings {
    /// Reads the settings from variables; empty ones count as unset. `resolve` maps hosts to addresses:
    /// `HOST:PORT:ADDRESS[:PORT]` each.
    ///
    /// # Errors
    /// [`Stop::usage`] if a key is missing or a value is invalid.
    pub fn read(
        variable: impl Fn(&str) -> Option<String>,
        resolve: &[String],
    ) -> Result<Self, Stop> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let need = |name: &str| {
            get(name).ok_or_else(|| {
                Stop::usage(format!(
                    "{name} is not set; run under `deploy-env --` or export the storage's keys"
                ))
            })
        };
        let region = get("AWS_REGION").unwrap_or_else(|| "us-east-1".into());
        let custom = get("AWS_ENDPOINT_URL");
        let endpoint = match &custom {
            Some(url) => normal(url)?,
            None => aws(&region),
        };
        let dial = dialled(&endpoint, &Addresses::parse(&resolve.join(" "))?);
        Ok(Self {
            dial,
            ca_bundle: get("AWS_CA_BUNDLE").map(PathBuf::from),
            endpoint,
            region,
            path_style: match get("S3_FORCE_PATH_STYLE") {
                Some(text) => yes_or_no(&text)?,
                None => custom.is_some(),
            },
            access_key: need("AWS_ACCESS_KEY_ID")?,
            secret_key: need("AWS_SECRET_ACCESS_KEY")?,
            session_token: get("AWS_SESSION_TOKEN"),
        })
    }

    pub fn is_tls(&self) -> bool {
        self.endpoint.starts_with("https:")
    }
}

/// The address to connect to, if an entry matches the endpoint's host and port.
fn dialled(endpoint: &str, resolve: &Addresses) -> Option<String> {
    let (scheme, rest) = endpoint.split_once("://")?;
    let authority = rest.split('/').next()?;
    let default = if scheme == "https" { 443 } else { 80 };
    let with_port = authority.rsplit_once(':').and_then(|(h, p)| Some((h, p.parse().ok()?)));
    let (host, port) = with_port.unwrap_or((authority, default));
    let (address, port) = resolve.find(host, port)?;
    Some(joined(address, port))
}

fn aws(region: &str) -> String {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://s3.{region}.amazonaws.com{china}")
}

/// Normalises a URL. A default port is dropped: it must not be in `Host` and missing in the signature.
fn normal(url: &str) -> Result<String, Stop> {
    let wrong = || {
        // The value is not repeated: a URL may contain a password.
        Stop::usage("AWS_ENDPOINT_URL is not of the form http://HOST[:PORT] or https://HOST[:PORT]")
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let scheme = scheme.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => return Err(wrong()),
    };
    let rest = rest.trim_end_matches('/');
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if authority.is_empty() || rest.contains(['@', '?', '#', ' ']) {
        return Err(wrong());
    }
    let authority = authority.strip_suffix(port).unwrap_or(authority);
    Ok(format!("{scheme}://{authority}{path}"))
}

fn yes_or_no(text: &str) -> Result<bool, Stop> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" | "on" => Ok(true),
        "no" | "false" | "0" | "off" => Ok(false),
        _ => Err(Stop::usage("S3_FORCE_PATH_STYLE must be yes or no")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, Stop> {
        Settings::read(
            |name| {
                let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hush")];
                let all = pairs.iter().chain(&keys);
                all.into_iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
            },
            &["minio:9000:127.0.0.1:1234".into(), "s3:80:::1".into()],
        )
    }

    #[test]
    fn only_the_address_dialled_changes_and_only_of_the_host_and_port_named() {
        let dial = |url| read(&[("AWS_ENDPOINT_URL", url)]).map(|s| s.dial);
        assert_eq!(dial("http://minio:9000").unwrap().as_deref(), Some("127.0.0.1:1234"));
        assert_eq!(dial("http://s3/").unwrap().as_deref(), Some("[::1]:80"));
        assert_eq!(dial("http://minio:9001").unwrap(), None);
        assert_eq!(dial("https://s3").unwrap(), None);
        assert_eq!(dial("https://minio:9000").unwrap().as_deref(), Some("127.0.0.1:1234"));
    }

    #[test]
    fn a_custom_endpoint_is_path_style_and_aws_is_not() {
        let custom = read(&[("AWS_ENDPOINT_URL", "http://localhost:9000/")]).unwrap();
        assert_eq!((custom.endpoint.as_str(), custom.path_style), ("http://localhost:9000", true));
        let aws = read(&[("AWS_REGION", "eu-central-1")]).unwrap();
        assert_eq!(aws.endpoint, "https://s3.eu-central-1.amazonaws.com");
        assert!(!aws.path_style);
        let set = read(&[("AWS_ENDPOINT_URL", "http://s"), ("S3_FORCE_PATH_STYLE", "no")]).unwrap();
        assert!(!set.path_style);
    }

    #[test]
    fn a_default_port_is_dropped_and_no_other() {
        let endpoint = |url| read(&[("AWS_ENDPOINT_URL", url)]).map(|s| s.endpoint);
        assert_eq!(endpoint("http://s:80").unwrap(), "http://s");
        assert_eq!(endpoint("https://s:443/x").unwrap(), "https://s/x");
        assert_eq!(endpoint("http://s:8080").unwrap(), "http://s:8080");
        assert_eq!(endpoint("https://s:80").unwrap(), "https://s:80");
        for wrong in ["s:80", "ftp://s", "http://", "http://u:p@s"] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_that_is_none_of_those_it_can_have_is_refused() {
        assert!(read(&[("S3_FORCE_PATH_STYLE", "maybe")]).is_err());
        assert!(read(&[("AWS_ACCESS_KEY_ID", "")]).is_err());
        let own = read(&[("AWS_ENDPOINT_URL", "https://s"), ("AWS_CA_BUNDLE", "ca.pem")]).unwrap();
        assert_eq!(own.ca_bundle, Some(PathBuf::from("ca.pem")));
    }
}
