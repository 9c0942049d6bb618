//! `isolation`: what the engine reports of a drill's containers and of their network.

use crate::client;
use crate::container::Container;
use crate::docker::{self, ANSWER};
use crate::drill::LABEL;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A network, as `docker network inspect` describes it.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Network {
    name: String,
    internal: bool,
    labels: Option<BTreeMap<String, String>>,
}

/// One thing that has to be so.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    name: &'static str,
    expected: &'static str,
    /// What is not so; nothing where it is.
    wrong: Vec<String>,
    found: String,
}

impl Check {
    fn new(name: &'static str, expected: &'static str, found: String, wrong: Vec<String>) -> Self {
        Self { name, expected, wrong, found }
    }

    pub fn is_passed(&self) -> bool {
        self.wrong.is_empty()
    }

    /// `CHECK<TAB>pass|fail<TAB>EXPECTED<TAB>FOUND`
    fn line(&self) -> String {
        let (word, found) = match self.is_passed() {
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
    let checks = checks(project, dir, &containers, &networks(&containers)?, &default_route);
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

/// The device of a default route of a process, where it has one. `None` inside where that cannot be read:
/// the engine is on another machine, or we are not root.
type Routes<'a> = dyn Fn(i32) -> Option<Option<String>> + 'a;

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
    checks.extend(routes(containers, route));
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

fn routes(containers: &[Container], route: &Routes<'_>) -> Option<Check> {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for container in containers.iter().filter(|container| container.pid() > 0) {
        seen += 1;
        if let Some(device) = route(container.pid())? {
            wrong.push(format!("{}: through {device}", container.service()));
        }
    }
    let found = format!("none in {}", pipe_kit::text::count(seen, "container"));
    Some(Check::new("route to the outside", "none", found, wrong))
}

fn default_route(pid: i32) -> Option<Option<String>> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")).ok();
    let (v4, v6) = (read("route")?, read("ipv6_route").unwrap_or_default());
    Some(first_route(&v4, &v6))
}

/// The device of the first default route in the kernel's two tables. That of IPv6 has a line through `lo` for
/// what is not to be reached.
fn first_route(v4: &str, v6: &str) -> Option<String> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let v4 = v4
        .lines()
        .skip(1)
        .map(words)
        .filter(|it| it.len() > 7 && it[1] == "00000000" && it[7] == "00000000");
    let v6 = v6.lines().map(words).filter(|it| {
        it.len() > 9 && it[0].bytes().all(|digit| digit == b'0') && it[1] == "00" && it[9] != "lo"
    });
    v4.map(|it| it[0].clone()).chain(v6.map(|it| it[9].clone())).next()
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
        let own = "eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\n";
        let all = "eth1\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\n";
        assert_eq!(first_route(&format!("{V4}{own}"), V6), None);
        assert_eq!(first_route(&format!("{V4}{own}{all}"), V6).as_deref(), Some("eth1"));
        assert_eq!(first_route(V4, &V6.replace("lo", "eth2")).as_deref(), Some("eth2"));
        assert_eq!(first_route("", ""), None);
    }

    fn wrong(
        facts: &[(&str, Value)],
        internal: bool,
        route: Option<Option<String>>,
    ) -> Vec<&'static str> {
        let usual = [
            ("/NetworkSettings/Networks", json!({"x_default": {}})),
            (
                "/Mounts",
                json!([{"Type": "bind", "Source": "/d/certs", "Destination": "/c", "RW": true}]),
            ),
        ];
        let it = container(&[&usual, facts].concat());
        let networks: Vec<Network> = serde_json::from_value(json!([
            {"Name": "x_default", "Internal": internal, "Labels": {LABEL: "x"}}]))
        .unwrap();
        let checks = checks("x", Path::new("/d"), &[it], &networks, &|_| route.clone());
        checks.iter().filter(|check| !check.is_passed()).map(|check| check.name).collect()
    }

    #[test]
    fn each_way_out_fails_the_check_that_is_about_it() {
        let bind = |source: &str, rw: bool| json!([{"Type": "bind", "Source": source, "Destination": "/x", "RW": rw}]);
        let out = || Some(Some("eth0".to_owned()));
        assert_eq!(wrong(&[], true, Some(None)), [""; 0]);
        assert_eq!(wrong(&[], true, None), [""; 0]);
        assert_eq!(wrong(&[], false, out()), ["network", "route to the outside"]);
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
                wrong(&[(pointer, value.clone())], true, Some(None)),
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
