//! Hosts: where an endpoint's URL leads, judged by its name.

use anyhow::{Result, anyhow};
use pipe_kit::Stop;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use url::Url;

/// Where a host lies, judged by its name or address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This machine.
    Loopback,
    /// A private address or a name that only means something on some network.
    Private,
    /// The internet.
    Public,
}

/// A host and the port that a setting's URL leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Endings of names that no public server has.
const PRIVATE_ENDINGS: &[&str] = &[
    "local",
    "localdomain",
    "internal",
    "intranet",
    "lan",
    "home",
    "arpa",
    "corp",
    "private",
    "test",
    "example",
    "invalid",
];

/// The endpoint of a setting's URL.
///
/// # Errors
/// [`Stop::usage`] naming the setting, not its value, if it is not a URL of one of the schemes, each
/// given with its default port.
pub fn parse(key: &str, url: &str, schemes: &[(&str, u16)]) -> Result<Endpoint> {
    let wrong = || {
        let forms: Vec<_> = schemes.iter().map(|(scheme, _)| format!("{scheme}://HOST")).collect();
        anyhow!(Stop::usage(format!("{key} is not of the form {}", forms.join(" or "))))
    };
    let parsed = Url::parse(url).map_err(|_| wrong())?;
    let (_, port) = schemes.iter().find(|(s, _)| *s == parsed.scheme()).ok_or_else(wrong)?;
    let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Endpoint { host, port: parsed.port().unwrap_or(*port) })
}

/// The address that a host is, if it is one.
pub fn address(host: &str) -> Option<IpAddr> {
    host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// Whether a host could be a service's name: no address, not this machine, no socket's directory.
pub fn could_be_a_service(host: &str) -> bool {
    !host.is_empty()
        && !host.starts_with(['/', '@'])
        && address(host).is_none()
        && place(host) != Place::Loopback
}

/// Where a host lies.
pub fn place(host: &str) -> Place {
    match address(host) {
        Some(IpAddr::V4(ip)) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            match () {
                () if ip.is_loopback() || ip.is_unspecified() => Place::Loopback,
                () if ip.is_private() || ip.is_link_local() || shared => Place::Private,
                () => Place::Public,
            }
        }
        Some(IpAddr::V6(ip)) => place_v6(ip),
        None => place_name(host),
    }
}

fn place_v6(ip: Ipv6Addr) -> Place {
    match () {
        () if ip.is_loopback() || ip.is_unspecified() => Place::Loopback,
        () if ip.is_unique_local() || ip.is_unicast_link_local() => Place::Private,
        () => Place::Public,
    }
}

fn place_name(host: &str) -> Place {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match host.rsplit_once('.') {
        _ if host == "localhost" || host.ends_with(".localhost") => Place::Loopback,
        Some((_, ending)) if !PRIVATE_ENDINGS.contains(&ending) => Place::Public,
        _ => Place::Private,
    }
}

/// The first address of a host, where its name means something here.
pub fn socket_address(host: &str, port: u16) -> Option<SocketAddr> {
    (host, port).to_socket_addrs().ok()?.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipe_kit::address::joined;

    #[test]
    fn hosts_are_placed_by_name_and_address() {
        let table = [
            ("localhost", Place::Loopback),
            ("s3.localhost", Place::Loopback),
            ("127.0.0.2", Place::Loopback),
            ("0.0.0.0", Place::Loopback),
            ("::1", Place::Loopback),
            ("::ffff:127.0.0.1", Place::Loopback),
            ("minio", Place::Private),
            ("10.1.2.3", Place::Private),
            ("172.16.0.1", Place::Private),
            ("192.168.0.1", Place::Private),
            ("169.254.0.1", Place::Private),
            ("100.64.0.1", Place::Private),
            ("fd00::1", Place::Private),
            ("fe80::1", Place::Private),
            ("nas.local", Place::Private),
            ("nas.LAN.", Place::Private),
            ("host.docker.internal", Place::Private),
            ("s3.test", Place::Private),
            ("s3.eu-central-1.amazonaws.com", Place::Public),
            ("s3.example.com", Place::Public),
            ("8.8.8.8", Place::Public),
            ("172.32.0.1", Place::Public),
            ("2001:4860::1", Place::Public),
        ];
        for (host, expected) in table {
            assert_eq!(place(host), expected, "{host}");
        }
    }

    #[test]
    fn addresses_sockets_and_this_machine_are_no_services() {
        for host in ["", "/run/postgresql", "127.0.0.1", "::1", "localhost", "10.0.0.1"] {
            assert!(!could_be_a_service(host), "{host}");
        }
        for host in ["postgres", "db.internal", "db.example.com"] {
            assert!(could_be_a_service(host), "{host}");
        }
    }

    #[test]
    fn endpoints_know_their_schemes_port() {
        let schemes = [("http", 80), ("https", 443)];
        let end = |url| parse("S3_ENDPOINT", url, &schemes).map(|e| joined(&e.host, e.port));
        assert_eq!(end("http://minio:9000").unwrap(), "minio:9000");
        assert_eq!(end("https://minio").unwrap(), "minio:443");
        assert_eq!(end("http://[::1]/x").unwrap(), "[::1]:80");
        for url in ["minio:9000", "ftp://u:hunter2@h", "hunter2", "http://"] {
            let error = end(url).unwrap_err();
            assert_eq!(
                error.to_string(),
                "S3_ENDPOINT is not of the form http://HOST or https://HOST"
            );
        }
    }
}
