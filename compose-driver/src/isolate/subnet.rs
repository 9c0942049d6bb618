//! The addresses of a drill's network.
//!
//! A network that is internal keeps containers from the outside by rules for what is forwarded; some
//! engines give them a default route all the same, by which they reach this host itself: its mail server,
//! for one. The route leads to an address that nobody has, so nothing arrives.

use crate::client;
use crate::docker::{self, ANSWER};
use anyhow::{Context, Result};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// Addresses for tests between networks (RFC 2544), which no host has: 512 networks of 256.
const FIRST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const NETWORKS: u32 = 512;
const ADDRESSES: u32 = 256;
/// The place of the address that nobody has.
const NOBODY: u32 = 254;

/// A network's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// `198.18.37.0/24`
    pub range: String,
    /// Where the default route leads.
    pub nobody: Ipv4Addr,
}

/// The first and the last address of a range.
type Range = (u32, u32);

/// What prints where this host sends traffic: routes of every table, rules that choose a table, its own addresses, and
/// what is encrypted. Only root sees the last.
const OF_HOST: [&[&str]; 4] = [
    &["-4", "route", "show", "table", "all"],
    &["-4", "rule", "show"],
    &["-4", "addr", "show"],
    &["-4", "xfrm", "policy", "show"],
];
/// A range with a shorter prefix is meant for everything else, as the route to everywhere is.
const SHORTEST: u32 = 8;

/// One that neither a network of the engine has nor anything by which this host chooses a way.
///
/// # Errors
/// If there is none, or the engine does not answer.
pub fn free() -> Result<Subnet> {
    let list = docker::command(&["network", "ls", "-q", "--no-trunc"]);
    let ids = client::text(list, ANSWER, "docker network ls")?;
    const FORMAT: &str = "{{range .IPAM.Config}}{{.Subnet}} {{end}}";
    let mut inspect = docker::command(&["network", "inspect", "--format", FORMAT]);
    inspect.args(ids.split_whitespace()).stderr(Stdio::null());
    // One that is removed meanwhile makes it fail, and the others are printed.
    let read = std::io::read_to_string;
    let (_, text) = client::read(inspect, ANSWER, "docker network inspect", read)?;
    let text = text.context("reading the networks")?;
    let mut taken: Vec<Range> = text.split_whitespace().filter_map(range).collect();
    taken.extend(of_host());
    choose(&taken, fastrand::u32(0..NETWORKS))
        .context("no range of addresses is free for a network")
}

/// What this host itself has. The main table alone where there is no program to ask.
fn of_host() -> Vec<Range> {
    let ask = |words: &&[&str]| {
        let mut ip = Command::new("ip");
        ip.args(*words).stdin(Stdio::null()).stderr(Stdio::null());
        client::text(ip, ANSWER, "ip").unwrap_or_default()
    };
    let mut taken: Vec<Range> = OF_HOST.iter().flat_map(|words| ranges(&ask(words))).collect();
    taken.extend(routes(&std::fs::read_to_string("/proc/net/route").unwrap_or_default()));
    taken
}

/// Every address and range in a text, whatever it is there for.
fn ranges(text: &str) -> Vec<Range> {
    let address = |word: &str| word.parse::<Ipv4Addr>().ok().map(u32::from);
    let of = |word: &str| range(word).or_else(|| address(word).map(|it| (it, it)));
    text.split_whitespace().filter_map(of).filter(is_specific).collect()
}

fn is_specific((first, last): &Range) -> bool {
    last - first <= u32::MAX >> SHORTEST
}

/// The first free one from some place on.
fn choose(taken: &[Range], from: u32) -> Option<Subnet> {
    let begins = (0..NETWORKS).map(|n| u32::from(FIRST) + (from + n) % NETWORKS * ADDRESSES);
    let is_free = |begin: &u32| {
        let end = begin + ADDRESSES - 1;
        taken.iter().all(|(first, last)| end < *first || *last < *begin)
    };
    let mut free = begins.filter(is_free);
    free.next().map(|begin| Subnet {
        range: format!("{}/24", Ipv4Addr::from(begin)),
        nobody: Ipv4Addr::from(begin + NOBODY),
    })
}

/// `ADDRESS/PREFIX`; none for IPv6.
fn range(text: &str) -> Option<Range> {
    let (address, prefix) = text.split_once('/')?;
    let (address, prefix) = (address.parse::<Ipv4Addr>().ok()?, prefix.parse::<u32>().ok()?);
    let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
    let first = u32::from(address) & mask;
    (prefix <= 32).then_some((first, first | !mask))
}

/// The destinations of the kernel's table of routes, but for the one to everywhere.
fn routes(table: &str) -> Vec<Range> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok().map(u32::swap_bytes);
        let (first, mask) = (number(1)?, number(7)?);
        Some((first, first | !mask))
    };
    table.lines().skip(1).filter_map(line).filter(is_specific).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_something_has_are_not_taken() {
        let taken =
            |texts: &[&str]| texts.iter().filter_map(|text| range(text)).collect::<Vec<_>>();
        let chosen = |texts: &[&str], from| choose(&taken(texts), from).map(|it| it.range);
        assert_eq!(chosen(&[], 37).as_deref(), Some("198.18.37.0/24"));
        assert_eq!(chosen(&["172.17.0.0/16", "fd00::/64"], 0).as_deref(), Some("198.18.0.0/24"));
        assert_eq!(chosen(&["198.18.0.0/23"], 0).as_deref(), Some("198.18.2.0/24"));
        assert_eq!(chosen(&["198.18.37.128/25"], 37).as_deref(), Some("198.18.38.0/24"));
        assert_eq!(chosen(&["198.19.255.0/24"], 511).as_deref(), Some("198.18.0.0/24"));
        assert_eq!(chosen(&["198.18.0.0/15"], 9), None);
        assert_eq!(chosen(&["0.0.0.0/0"], 9), None);
        assert_eq!(choose(&[], 37).unwrap().nobody, Ipv4Addr::new(198, 18, 37, 254));
    }

    #[test]
    fn the_hosts_own_networks_are_taken_and_the_route_to_everywhere_is_none() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                     eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\n\
                     br\t002512C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n";
        assert_eq!(routes(table), [range("198.18.37.0/24").unwrap()]);
        assert!(routes("").is_empty());
    }

    #[test]
    fn what_any_table_rule_or_policy_of_the_host_names_is_taken_but_for_everything() {
        let text = "default via 192.0.2.1 dev eth0\n\
                    0.0.0.0/1 via 10.8.0.1 dev tun0\n128.0.0.0/1 via 10.8.0.1 dev tun0 table 52\n\
                    unreachable 198.18.0.0/16 table 52 metric 20\n\
                    100:\tfrom 198.19.7.0/24 lookup vpn\n101:\tfrom all to 198.19.8.9 lookup vpn\n\
                    32766:\tfrom all lookup main\n    inet 198.19.1.2/31 brd 198.19.1.3 scope global tun1\n\
                    src 0.0.0.0/0 dst 198.19.64.0/18 \n\tdir out priority 2 \n";
        let taken = ranges(text);
        let is_taken = |begin: &str| {
            let begin = begin.parse::<Ipv4Addr>().map(u32::from).unwrap();
            choose(&taken, (begin - u32::from(FIRST)) / ADDRESSES).unwrap().range
                != format!("{}/24", Ipv4Addr::from(begin))
        };
        for begin in
            ["198.18.0.0", "198.18.255.0", "198.19.7.0", "198.19.8.0", "198.19.1.0", "198.19.127.0"]
        {
            assert!(is_taken(begin), "{begin}");
        }
        for begin in ["198.19.0.0", "198.19.2.0", "198.19.9.0", "198.19.128.0"] {
            assert!(!is_taken(begin), "{begin}");
        }
        // This host has one for itself.
        assert!(
            of_host().contains(&range("127.0.0.0/8").unwrap())
                || Command::new("ip").output().is_err()
        );
    }
}
