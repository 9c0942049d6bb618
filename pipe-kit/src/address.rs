//! Hosts and ports, and addresses of servers whose names do not resolve on this host.

use crate::Stop;
use std::net::Ipv6Addr;
use std::time::Duration;

/// `HOST:PORT`, with brackets where the host needs them.
#[must_use]
pub fn joined(host: &str, port: u16) -> String {
    let host = bare(host);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A host without the brackets that a URL has around an IPv6 address.
#[must_use]
pub fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// How long the next of so many addresses may take, of the time that is left: one that does not answer must leave time
/// for the others.
#[must_use]
pub fn share(left: Duration, addresses: usize) -> Duration {
    left / u32::try_from(addresses.max(1)).unwrap_or(u32::MAX)
}

/// The addresses to connect to instead of a host and port: entries `HOST:PORT:ADDRESS[:PORT]` of
/// `PIPRIO_RESOLVE`. An IPv6 address with a port after it is in brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    host: String,
    port: u16,
    address: (String, u16),
}

impl Addresses {
    /// Reads entries separated by blanks.
    ///
    /// # Errors
    /// [`Stop::usage`] with the wrong entry.
    pub fn parse(text: &str) -> Result<Self, Stop> {
        let read = |word: &str| {
            entry(word).ok_or_else(|| {
                Stop::usage(format!("'{word}' is not of the form HOST:PORT:ADDRESS[:PORT]"))
            })
        };
        text.split_whitespace().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The address and port of the first entry for a host and port, without brackets.
    #[must_use]
    pub fn find(&self, host: &str, port: u16) -> Option<(&str, u16)> {
        let host = bare(host);
        let found = self.0.iter().find(|entry| entry.host == host && entry.port == port)?;
        Some((&found.address.0, found.address.1))
    }
}

fn entry(word: &str) -> Option<Entry> {
    let (host, rest) = host_of(word)?;
    let (port, to) = rest.strip_prefix(':')?.split_once(':')?;
    let port = number(port)?;
    let address = match host_of(to) {
        _ if to.parse::<Ipv6Addr>().is_ok() => (to.to_owned(), port),
        Some((address, "")) => (address.to_owned(), port),
        Some((address, end)) => (address.to_owned(), number(end.strip_prefix(':')?)?),
        None => return None,
    };
    Some(Entry { host: host.to_owned(), port, address })
}

/// A host, in brackets or up to a colon, without the brackets; and the text after it.
fn host_of(text: &str) -> Option<(&str, &str)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    (!host.is_empty()).then_some((host, rest))
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_has_all_the_time_that_is_left() {
        let second = Duration::from_secs(1);
        for (addresses, expected) in [(4, 250), (2, 500), (1, 1000), (0, 1000)] {
            assert_eq!(share(second, addresses), Duration::from_millis(expected));
        }
        assert_eq!(share(Duration::ZERO, 3), Duration::ZERO);
    }

    #[test]
    fn every_form_of_an_entry_is_read() {
        for (text, host, port, expected) in [
            ("minio:9000:127.0.0.1:19000", "minio", 9000, Some(("127.0.0.1", 19000))),
            ("minio:9000:127.0.0.1", "minio", 9000, Some(("127.0.0.1", 9000))),
            ("redis:6379:[fd00::2]:16379", "redis", 6379, Some(("fd00::2", 16379))),
            ("redis:6379:[fd00::2]", "redis", 6379, Some(("fd00::2", 6379))),
            ("s3:80:::1", "s3", 80, Some(("::1", 80))),
            ("[fd00::9]:80:[::1]:81", "[fd00::9]", 80, Some(("::1", 81))),
            ("[fd00::9]:80:[::1]:81", "fd00::9", 80, Some(("::1", 81))),
            ("a:1:localhost:2 b:1:localhost:3", "b", 1, Some(("localhost", 3))),
            ("a:1:x:2 a:1:y:3", "a", 1, Some(("x", 2))),
            ("a:1:x:2", "a", 2, None),
            ("a:1:x:2", "x", 1, None),
            ("", "a", 1, None),
        ] {
            let addresses = Addresses::parse(text).unwrap();
            assert_eq!(addresses.find(host, port), expected, "{text} {host}:{port}");
        }
    }

    #[test]
    fn what_is_no_entry_is_refused_by_name() {
        for text in
            ["a", "a:1", "a:1:", "a:x:b:2", "a:0:b", "a:1:b:x", "a:1:[::1", ":1:b", "a:1:[::1]2"]
        {
            let stop = Addresses::parse(text).unwrap_err();
            assert!(stop.to_string().contains(text), "{text}");
        }
    }

    #[test]
    fn a_host_and_its_port_are_joined_as_a_url_has_them() {
        for (host, expected) in [("h", "h:1"), ("::1", "[::1]:1"), ("[::1]", "[::1]:1")] {
            assert_eq!(joined(host, 1), expected);
        }
    }
}
