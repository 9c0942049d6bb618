//! `isolation`: what the engine reports of a drill's containers and of their network.

use crate::client;
use crate::container::Container;
use crate::docker::{self, ANSWER};
use crate::drill::LABEL;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

/// A network, as `docker network inspect` describes it.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Network {
    name: String,
    internal: bool,
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "IPAM", default)]
    ipam: Ipam,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Ipam {
    config: Option<Vec<Addresses>>,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Addresses {
    /// Of the host.
    gateway: String,
    auxiliary_addresses: Option<BTreeMap<String, String>>,
}

impl Network {
    /// Addresses that nobody has.
    fn nobodys(&self) -> impl Iterator<Item = &str> {
        let all = self.ipam.config.iter().flatten();
        all.flat_map(|it| {
            let aux = it.auxiliary_addresses.iter().flat_map(BTreeMap::values);
            aux.filter(|at| **at != it.gateway).map(String::as_str)
        })
    }
}

/// The check of routes.
const ROUTES: &str = "route to the outside";

/// One thing that has to be so.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    name: &'static str,
    expected: &'static str,
    /// What is not so; nothing where it is.
    wrong: Vec<String>,
    found: String,
    /// It could not be looked at.
    is_skipped: bool,
}

impl Check {
    fn new(name: &'static str, expected: &'static str, found: String, wrong: Vec<String>) -> Self {
        Self { name, expected, wrong, found, is_skipped: false }
    }

    pub fn is_passed(&self) -> bool {
        self.wrong.is_empty()
    }

    /// `CHECK<TAB>pass|fail|skip<TAB>EXPECTED<TAB>FOUND`
    fn line(&self) -> String {
        let (word, found) = match self.is_passed() {
            true if self.is_skipped => ("skip", self.found.clone()),
            true => ("pass", self.found.clone()),
            false => ("fail", self.wrong.join(", ")),
        };
        format!("{}\t{word}\t{}\t{}\n", self.name, self.expected, pipe_kit::text::one_line(&found))
    }
}

/// Looks at a project, prints a line a check, and gives whether all are passed.
///
/// # Errors
/// If the engine does not answer, or the project has no running container.
pub fn check(project: &str, dir: &Path) -> Result<bool> {
    let mut command = docker::command(&["ps", "-aq", "--no-trunc", "--filter"]);
    command.arg(format!("label={LABEL}={project}"));
    let ids = client::text(command, ANSWER, "docker ps")?;
    let ids: Vec<String> = ids.split_whitespace().map(str::to_owned).collect();
    let containers = docker::inspect(&ids, ANSWER)?;
    let running = containers.iter().any(Container::is_running);
    running.then_some(()).with_context(|| format!("no container of {project} is running"))?;
    let checks = checks(project, dir, &containers, &networks(&containers)?, &default_routes);
    pipe_kit::output::print(&checks.iter().map(Check::line).collect::<String>())?;
    Ok(checks.iter().all(Check::is_passed))
}

fn networks(containers: &[Container]) -> Result<Vec<Network>> {
    let names: BTreeSet<&String> = containers.iter().flat_map(names_of_networks).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = docker::command(&["network", "inspect"]);
    command.args(names);
    let text = client::text(command, ANSWER, "docker network inspect")?;
    serde_json::from_str(&text).context("docker network inspect printed no JSON of networks")
}

fn names_of_networks(container: &Container) -> impl Iterator<Item = &String> {
    container.network_settings.networks.iter().flat_map(BTreeMap::keys)
}

/// The default routes of a process. `None` where they cannot be read: the engine is on another machine, or we are
/// not root.
type Routes<'a> = dyn Fn(i32) -> Option<Vec<Route>> + 'a;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    to: String,
    device: String,
}

fn checks(
    project: &str,
    dir: &Path,
    containers: &[Container],
    networks: &[Network],
    route: &Routes<'_>,
) -> Vec<Check> {
    let each = |wrong: &dyn Fn(&Container) -> Option<String>| -> Vec<String> {
        let named = |it: &Container| wrong(it).map(|what| format!("{}: {what}", it.service()));
        containers.iter().filter_map(named).collect()
    };
    let is_ours = |network: &Network| {
        let label = network.labels.as_ref().and_then(|labels| labels.get(LABEL));
        network.internal && label.is_some_and(|label| label == project)
    };
    let open: Vec<String> =
        networks.iter().filter(|it| !is_ours(it)).map(|it| it.name.clone()).collect();
    let names: Vec<&str> = networks.iter().map(|network| network.name.as_str()).collect();
    let count = pipe_kit::text::count(containers.len(), "container");
    let is_hosts = |container: &Container| container.uses_the_hosts_network();
    let mut wrong = each(&|it| is_hosts(it).then(|| "the host's network".to_owned()));
    wrong.extend(open);
    let mut checks = vec![
        Check::new("network", "internal, the drill's own", names.join(", "), wrong),
        Check::new("published ports", "none", format!("none of {count}"), each(&ports)),
        Check::new("rights", "of a plain container", count.clone(), each(&rights)),
        Check::new("writable paths", "of the drill", count, each(&|it| writable(it, dir))),
    ];
    checks.push(routes(containers, networks, route).unwrap_or_else(|| {
        let why = "the routes cannot be read: another machine's engine, or not root";
        Check { is_skipped: true, ..Check::new(ROUTES, "none", why.to_owned(), Vec::new()) }
    }));
    checks
}

fn ports(container: &Container) -> Option<String> {
    let bound = container.rights().port_bindings.iter().flat_map(BTreeMap::keys);
    let settings = container.network_settings.ports.iter().flatten();
    let published = settings.filter(|(_, at)| at.as_ref().is_some_and(|at| !at.is_empty()));
    let ports: BTreeSet<&String> = bound.chain(published.map(|(port, _)| port)).collect();
    let ports: Vec<&str> = ports.into_iter().map(String::as_str).collect();
    (!ports.is_empty()).then(|| ports.join(" "))
}

fn rights(container: &Container) -> Option<String> {
    let rights = container.rights();
    let modes = [&rights.pid_mode, &rights.ipc_mode, &rights.uts_mode, &rights.userns_mode];
    if rights.privileged {
        Some("privileged".to_owned())
    } else if modes.into_iter().any(|mode| mode == "host") {
        Some("a namespace of the host".to_owned())
    } else if rights.devices.as_ref().is_some_and(|devices| !devices.is_empty()) {
        Some("devices".to_owned())
    } else {
        None
    }
}

fn writable(container: &Container, dir: &Path) -> Option<String> {
    let mut paths = container.writable_binds();
    paths.find(|path| !Path::new(path).starts_with(dir)).map(str::to_owned)
}

/// A route to an address that nobody has reaches nothing.
fn routes(containers: &[Container], networks: &[Network], routes: &Routes<'_>) -> Option<Check> {
    let nobodys: BTreeSet<&str> = networks.iter().flat_map(Network::nobodys).collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for container in containers.iter().filter(|container| container.pid() > 0) {
        seen += 1;
        let out =
            routes(container.pid())?.into_iter().filter(|it| !nobodys.contains(it.to.as_str()));
        let name = container.service();
        wrong.extend(out.map(|it| format!("{name}: to {} through {}", it.to, it.device)));
    }
    let found = format!("none in {}", pipe_kit::text::count(seen, "container"));
    Some(Check::new(ROUTES, "none", found, wrong))
}

fn default_routes(pid: i32) -> Option<Vec<Route>> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")).ok();
    let (v4, v6) = (read("route")?, read("ipv6_route").unwrap_or_default());
    Some(in_tables(&v4, &v6))
}

/// The default routes in the kernel's two tables. That of IPv6 has a line through `lo` for what is not to be
/// reached.
fn in_tables(v4: &str, v6: &str) -> Vec<Route> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let v4 = v4
        .lines()
        .skip(1)
        .map(words)
        .filter(|it| it.len() > 7 && it[1] == "00000000" && it[7] == "00000000");
    let v6 = v6.lines().map(words).filter(|it| {
        it.len() > 9 && it[0].bytes().all(|digit| digit == b'0') && it[1] == "00" && it[9] != "lo"
    });
    let address = |hex: &str| {
        let number = u32::from_str_radix(hex, 16).map(u32::swap_bytes);
        number.map_or_else(|_| hex.to_owned(), |it| Ipv4Addr::from(it).to_string())
    };
    let v4 = v4.map(|it| Route { to: address(&it[2]), device: it[0].clone() });
    v4.chain(v6.map(|it| Route { to: it[4].clone(), device: it[9].clone() })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::tests::container;
    use serde_json::{Value, json};

    const V4: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n";
    const V6: &str = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                      00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n";

    #[test]
    fn a_default_route_is_one_to_everywhere() {
        let own = "eth0\t002512C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n";
        let all = "eth1\t00000000\tFE2512C6\t0003\t0\t0\t0\t00000000\t0\n";
        let route =
            |to: &str, device: &str| vec![Route { to: to.to_owned(), device: device.to_owned() }];
        assert_eq!(in_tables(&format!("{V4}{own}"), V6), []);
        assert_eq!(in_tables(&format!("{V4}{own}{all}"), V6), route("198.18.37.254", "eth1"));
        let v6 = V6.replace("lo", "eth2");
        assert_eq!(in_tables(V4, &v6), route(&"0".repeat(32), "eth2"));
        assert_eq!(in_tables("", ""), []);
    }

    fn wrong(facts: &[(&str, Value)], internal: bool, route: Option<&str>) -> Vec<&'static str> {
        let usual = [
            ("/NetworkSettings/Networks", json!({"x_default": {}})),
            (
                "/Mounts",
                json!([{"Type": "bind", "Source": "/d/certs", "Destination": "/c", "RW": true}]),
            ),
        ];
        let it = container(&[&usual, facts].concat());
        let networks: Vec<Network> = serde_json::from_value(json!([
            {"Name": "x_default", "Internal": internal, "Labels": {LABEL: "x"}, "IPAM": {"Config": [
                {"Subnet": "198.18.37.0/24", "Gateway": "198.18.37.1",
                 "AuxiliaryAddresses": {"DefaultGatewayIPv4": "198.18.37.254"}}]}}]))
        .unwrap();
        let routes = |_| {
            let to = |to: &str| Route { to: to.to_owned(), device: "eth0".to_owned() };
            Some(route?.split_whitespace().map(to).collect())
        };
        let checks = checks("x", Path::new("/d"), &[it], &networks, &routes);
        checks.iter().filter(|check| !check.is_passed()).map(|check| check.name).collect()
    }

    #[test]
    fn each_route_outside_fails_the_check_that_is_about_it() {
        let bind = |source: &str, rw: bool| json!([{"Type": "bind", "Source": source, "Destination": "/x", "RW": rw}]);
        assert_eq!(wrong(&[], true, Some("")), [""; 0]);
        assert_eq!(wrong(&[], true, Some("198.18.37.254")), [""; 0]);
        assert_eq!(wrong(&[], true, None), [""; 0]);
        assert_eq!(wrong(&[], true, Some("198.18.37.254 198.18.37.1")), ["route to the outside"]);
        assert_eq!(wrong(&[], false, Some("172.18.0.1")), ["network", "route to the outside"]);
        for (pointer, value, check) in [
            ("/HostConfig/NetworkMode", json!("host"), Some("network")),
            (
                "/HostConfig",
                json!({"NetworkMode": "x", "RestartPolicy": {"Name": "no"}, "Privileged": true}),
                Some("rights"),
            ),
            (
                "/HostConfig",
                json!({"NetworkMode": "x", "RestartPolicy": {"Name": "no"}, "PidMode": "host"}),
                Some("rights"),
            ),
            (
                "/HostConfig",
                json!({"NetworkMode": "x", "RestartPolicy": {"Name": "no"}, "IpcMode": "private", "Devices": []}),
                None,
            ),
            (
                "/HostConfig",
                json!({"NetworkMode": "x", "RestartPolicy": {"Name": "no"}, "PortBindings": {"80/tcp": []}}),
                Some("published ports"),
            ),
            (
                "/NetworkSettings/Ports",
                json!({"80/tcp": [{"HostIp": "", "HostPort": "1"}]}),
                Some("published ports"),
            ),
            ("/NetworkSettings/Ports", json!({"80/tcp": null}), None),
            ("/Mounts", bind("/srv/data", true), Some("writable paths")),
            ("/Mounts", bind("/srv/data", false), None),
            ("/Mounts", bind("/d2/data", true), Some("writable paths")),
        ] {
            let expected: Vec<&str> = check.into_iter().collect();
            assert_eq!(
                wrong(&[(pointer, value.clone())], true, Some("")),
                expected,
                "{pointer} {value}"
            );
        }
    }

    #[test]
    fn a_network_without_the_drills_label_is_not_the_drills() {
        let it = container(&[("/NetworkSettings/Networks", json!({"y": {}}))]);
        let networks: Vec<Network> =
            serde_json::from_value(json!([{"Name": "y", "Internal": true, "Labels": {}}])).unwrap();
        let checks = checks("x", Path::new("/d"), &[it], &networks, &|_| None);
        assert_eq!(checks[0].line(), "network\tfail\tinternal, the drill's own\ty\n");
    }
}
