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
    /// Where the keys come from.
    pub keys: KeySource,
    /// Certificate authorities (PEM) to trust instead of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// The `ADDRESS:PORT` to connect to instead of the endpoint's own.
    pub dial: Option<String>,
}

/// Keys that requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    pub access_key: String,
    /// Never printed.
    pub secret_key: String,
    /// Never printed.
    pub session_token: Option<String>,
}

/// Where the keys come from.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    Given(Keys),
    /// A section of a credentials file.
    Profile {
        file: PathBuf,
        name: String,
    },
    /// A token that a token service takes for keys.
    WebIdentity {
        role: String,
        token_file: PathBuf,
        session: String,
        url: String,
    },
    /// The container's own service, and the token that it requires.
    Container {
        url: String,
        token_file: Option<PathBuf>,
    },
    /// The metadata service of the virtual machine.
    Instance {
        url: String,
    },
}

/// The service of Amazon's containers.
const CONTAINER_SERVICE: &str = "http://169.254.170.2";
/// The metadata service of Amazon's virtual machines.
const INSTANCE_SERVICE: &str = "http://169.254.169.254";

impl KeySource {
    /// Decides by the variables that are set. A source that asks a server needs a variable of its own, so that nothing
    /// is asked where there is no such server.
    fn of(get: &impl Fn(&str) -> Option<String>, region: &str) -> Result<Self, Stop> {
        if let Some(access_key) = get("AWS_ACCESS_KEY_ID") {
            let unset =
                || Stop::usage("AWS_SECRET_ACCESS_KEY is not set, but AWS_ACCESS_KEY_ID is");
            let secret_key = get("AWS_SECRET_ACCESS_KEY").ok_or_else(unset)?;
            let session_token = get("AWS_SESSION_TOKEN");
            return Ok(Self::Given(Keys { access_key, secret_key, session_token }));
        }
        if let Some(file) = profile_file(get) {
            let name = get("AWS_PROFILE").unwrap_or_else(|| "default".into());
            return Ok(Self::Profile { file, name });
        }
        if let Some((token_file, role)) =
            get("AWS_WEB_IDENTITY_TOKEN_FILE").zip(get("AWS_ROLE_ARN"))
        {
            let session = get("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "obj-mirror".into());
            let china = china(region);
            let url = get("AWS_ENDPOINT_URL_STS")
                .unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com{china}"));
            return Ok(Self::WebIdentity { role, token_file: token_file.into(), session, url });
        }
        let path = get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let container = path.map(|path| format!("{CONTAINER_SERVICE}{path}"));
        if let Some(url) = container.or_else(|| get("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
            let token_file = get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from);
            return Ok(Self::Container { url, token_file });
        }
        if get("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("false")) {
            let url = get("AWS_EC2_METADATA_SERVICE_ENDPOINT");
            return Ok(Self::Instance { url: url.unwrap_or_else(|| INSTANCE_SERVICE.into()) });
        }
        Err(Stop::usage(
            "AWS_ACCESS_KEY_ID is not set; run under `deploy-env --`, export the storage's keys, or name a profile in AWS_PROFILE",
        ))
    }
}

/// The credentials file, if a variable asks for it.
fn profile_file(get: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let named = get("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let home = || Some(PathBuf::from(get("HOME")?).join(".aws/credentials"));
    named.or_else(|| get("AWS_PROFILE").and_then(|_| home()))
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
        let region = get("AWS_REGION").unwrap_or_else(|| "us-east-1".into());
        let custom = get("AWS_ENDPOINT_URL");
        let endpoint = match &custom {
            Some(url) => normal(url)?,
            None => aws(&region),
        };
        let keys = KeySource::of(&get, &region)?;
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
            keys,
        })
    }

    /// The same for another server, which is trusted alike.
    pub fn with_endpoint(&self, endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), dial: None, ..self.clone() }
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
    format!("https://s3.{region}.amazonaws.com{}", china(region))
}

fn china(region: &str) -> &'static str {
    if region.starts_with("cn-") { ".cn" } else { "" }
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
    fn keys_come_from_where_a_variable_asks_for_them() {
        let source = |pairs: &[(&str, &str)]| {
            let get = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).into());
            KeySource::of(&get, "cn-north-1")
        };
        let profile =
            |file: &str, name: &str| KeySource::Profile { file: file.into(), name: name.into() };
        let home = ("HOME", "/h");
        let found = |pairs: &[(&str, &str)]| source(pairs).ok();
        assert!(found(&[("AWS_PROFILE", "p"), home]) == Some(profile("/h/.aws/credentials", "p")));
        let file = ("AWS_SHARED_CREDENTIALS_FILE", "/f");
        assert!(found(&[file, home]) == Some(profile("/f", "default")));
        let identity = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "arn")];
        assert!(matches!(found(&identity), Some(KeySource::WebIdentity { url, .. })
            if url == "https://sts.cn-north-1.amazonaws.com.cn"));
        let container = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")];
        assert!(matches!(found(&container), Some(KeySource::Container { url, .. })
            if url == "http://169.254.170.2/v2/x"));
        assert!(matches!(
            found(&[("AWS_EC2_METADATA_DISABLED", "false")]),
            Some(KeySource::Instance { .. })
        ));
        // Nothing is asked that no variable names.
        for none in [&[][..], &[home], &[("AWS_EC2_METADATA_DISABLED", "true")], &identity[..1]] {
            assert!(source(none).is_err(), "{none:?}");
        }
        // Keys come first, and half of them is a mistake.
        assert!(source(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_PROFILE", "p"), home]).is_err());
        let both =
            [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_PROFILE", "p")];
        assert!(matches!(found(&both), Some(KeySource::Given(_))));
    }

    #[test]
    fn a_value_that_is_none_of_those_it_can_have_is_refused() {
        assert!(read(&[("S3_FORCE_PATH_STYLE", "maybe")]).is_err());
        assert!(read(&[("AWS_ACCESS_KEY_ID", "")]).is_err());
        let own = read(&[("AWS_ENDPOINT_URL", "https://s"), ("AWS_CA_BUNDLE", "ca.pem")]).unwrap();
        assert_eq!(own.ca_bundle, Some(PathBuf::from("ca.pem")));
    }
}
