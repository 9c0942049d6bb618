//! Readiness URLs of applications.

use crate::address;
use crate::limit::Limit;
use crate::probe::{Facts, Probe};
use crate::settings::Settings;
use bundle_format::report::ProbeKind;
use std::time::Instant;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};
use url::Url;

/// How many addresses of a host are tried.
const ADDRESSES: usize = 8;

/// Resolves names as [`address`] does.
#[derive(Debug)]
struct Dial {
    settings: Settings,
    limit: Limit,
}

impl Resolver for Dial {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().ok_or(Error::HostNotFound)?;
        let https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let found = address::dialled(&self.settings, host, port, self.limit)
            .map_err(|_| Error::HostNotFound)?;
        let mut addresses = self.empty();
        found.into_iter().take(ADDRESSES).for_each(|address| addresses.push(address));
        Ok(addresses)
    }
}

/// Whether a URL answers with success. A redirect is no success: another URL would have to be probed.
pub fn probe(settings: &Settings, service: &str, url: &str, limit: Limit) -> Probe {
    let config = match url.starts_with("https:") {
        true => Agent::config_builder().tls_config(trusted()),
        false => Agent::config_builder(),
    };
    let config = config
        .timeout_global(Some(limit.left()))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent(concat!("health-probe/", env!("CARGO_PKG_VERSION")))
        .build();
    let dial = Dial { settings: settings.clone(), limit };
    let agent = Agent::with_parts(config, DefaultConnector::default(), dial);
    let start = Instant::now();
    let answer = agent.get(url).call();
    let latency = start.elapsed();
    let fail = |why: &str| {
        Probe::fail(ProbeKind::Readiness, service, format!("{why} from {}", shown(url)))
    };
    let status = match answer {
        Ok(answer) => answer.status(),
        Err(error) => return fail(&reason(&error, limit)),
    };
    let word = status.as_u16().to_string();
    let probe = match status.is_success() {
        true => Probe::pass(ProbeKind::Readiness, service, word),
        false => fail(&word),
    };
    probe.after(latency).with_facts(Facts::from([("status", status.as_u16().into())]))
}

/// The authorities that this system trusts; those of the web where it has none.
fn trusted() -> TlsConfig {
    let found = rustls_native_certs::load_native_certs().certs;
    let own = found.iter().map(|der| Certificate::from_der(der).to_owned());
    let roots = if found.is_empty() { RootCerts::WebPki } else { RootCerts::from(own) };
    TlsConfig::builder().root_certs(roots).build()
}

fn reason(error: &Error, limit: Limit) -> String {
    match error {
        Error::Timeout(_) => limit.no_answer(),
        Error::HostNotFound => "no address".into(),
        Error::Io(error) => format!("no answer ({error})"),
        other => format!("no answer ({other})"),
    }
}

/// A URL without user, password and query, which may be secret.
fn shown(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return "its URL".into() };
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_url_is_shown_without_user_password_and_query() {
        assert_eq!(shown("http://u:hunter2@h:81/ready?token=hunter2"), "http://h:81/ready");
        assert_eq!(shown("https://[::1]/"), "https://[::1]/");
    }
}
