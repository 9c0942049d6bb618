//! Where a port of a container answers from this host.

use crate::container::{Container, Network, Published};
use crate::docker::{self, ANSWER};
use anyhow::{Context, Result};

/// `HOST:PORT` of a service's port.
///
/// # Errors
/// If the container has no address, or the engine does not answer.
pub fn of(id: &str, service: &str, port: u16) -> Result<String> {
    let containers = docker::inspect(&[id.to_owned()], ANSWER)?;
    containers.first().and_then(|container| find(container, port)).with_context(|| {
        format!(
            "the service {service} has no address: its port {port} is not published and it is \
             on no network"
        )
    })
}

/// Where the port is published; else on the host's network, or that of the container.
fn find(container: &Container, port: u16) -> Option<String> {
    let settings = &container.network_settings;
    let ports = settings.ports.as_ref().and_then(|ports| ports.get(&format!("{port}/tcp")));
    if let Some(published) = ports.and_then(Option::as_ref).and_then(|all| all.first()) {
        return Some(reached(published));
    }
    if container.uses_the_hosts_network() {
        return Some(format!("127.0.0.1:{port}"));
    }
    let networks = || settings.networks.iter().flat_map(|networks| networks.values());
    let address = |of: fn(&Network) -> &String| networks().map(of).find(|text| !text.is_empty());
    match address(|network| &network.ip_address) {
        Some(address) => Some(format!("{address}:{port}")),
        None => address(|network| &network.global_ipv6_address).map(|it| format!("[{it}]:{port}")),
    }
}

/// What is published on every address answers on loopback.
fn reached(published: &Published) -> String {
    let port = &published.host_port;
    match published.host_ip.as_str() {
        "" | "0.0.0.0" => format!("127.0.0.1:{port}"),
        "::" => format!("[::1]:{port}"),
        address if address.contains(':') => format!("[{address}]:{port}"),
        address => format!("{address}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::tests::container;
    use serde_json::{Value, json};

    #[test]
    fn an_address_follows_from_what_the_engine_reports() {
        let at = |ip: &str| json!({"5432/tcp": [{"HostIp": ip, "HostPort": "61000"}]});
        let on = |v4: &str, v6: &str| json!({"IPAddress": v4, "GlobalIPv6Address": v6});
        let networks =
            json!({"a": on("", ""), "b": on("172.18.0.2", "fd00::2"), "c": on("172.19.0.2", "")});
        let none = json!({});
        for (ports, mode, networks, expected) in [
            (at("0.0.0.0"), "d", &networks, Some("127.0.0.1:61000")),
            (at(""), "d", &networks, Some("127.0.0.1:61000")),
            (at("127.0.0.1"), "d", &networks, Some("127.0.0.1:61000")),
            (at("192.0.2.7"), "d", &networks, Some("192.0.2.7:61000")),
            (at("::"), "d", &networks, Some("[::1]:61000")),
            (at("2001:db8::7"), "d", &networks, Some("[2001:db8::7]:61000")),
            (json!({"5432/tcp": null}), "d", &networks, Some("172.18.0.2:5432")),
            (json!({"5432/tcp": []}), "d", &networks, Some("172.18.0.2:5432")),
            (
                json!({"5432/udp": [{"HostIp": "", "HostPort": "1"}]}),
                "d",
                &networks,
                Some("172.18.0.2:5432"),
            ),
            (Value::Null, "d", &networks, Some("172.18.0.2:5432")),
            (none.clone(), "d", &json!({"a": on("", "fd00::2")}), Some("[fd00::2]:5432")),
            (none.clone(), "host", &json!({"host": on("", "")}), Some("127.0.0.1:5432")),
            (none.clone(), "none", &json!({"none": on("", "")}), None),
            (none.clone(), "none", &none, None),
            (none.clone(), "container:1", &Value::Null, None),
        ] {
            let it = container(&[
                ("/NetworkSettings/Ports", ports.clone()),
                ("/NetworkSettings/Networks", networks.clone()),
                ("/HostConfig/NetworkMode", json!(mode)),
            ]);
            assert_eq!(find(&it, 5432).as_deref(), expected, "{ports} {mode}");
        }
    }
}
