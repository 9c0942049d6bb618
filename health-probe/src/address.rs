//! The address of an endpoint: its own name where that resolves here, else the address that the driver reports.
//! Only the address changes; URL, Host header and TLS name stay.

use crate::limit::Limit;
use crate::program::output;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use pipe_kit::address::{bare, joined};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::process::Command;

/// The addresses of an endpoint. The driver's present answer is preferred to the one in the resolved settings, since
/// a service that was restarted may have another address.
pub fn dialled(
    settings: &Settings,
    host: &str,
    port: u16,
    limit: Limit,
) -> Result<Vec<SocketAddr>> {
    let host = bare(host);
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if let Ok(found) = resolved(&joined(host, port)) {
        return Ok(found);
    }
    let mut command = Command::new(&settings.driver);
    command.args(["addr", host, &port.to_string()]);
    let answer = output(&mut command, "driver addr", limit);
    match (answer, settings.resolve.find(host, port)) {
        (Ok(text), _) => resolved(text.trim()),
        (Err(_), Some((host, port))) => resolved(&joined(host, port)),
        (Err(_), None) => bail!("{host} does not resolve here and is no running service"),
    }
}

fn resolved(text: &str) -> Result<Vec<SocketAddr>> {
    let found = text.to_socket_addrs().with_context(|| format!("{text} does not resolve here"))?;
    let found: Vec<SocketAddr> = found.collect();
    if found.is_empty() {
        bail!("{text} does not resolve here");
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_name_that_does_not_resolve_here_is_dialled_at_the_address_of_the_settings() {
        let mut settings = Settings { driver: "/bin/false".into(), ..Settings::default() };
        let limit = Limit::of(Duration::from_secs(60));
        assert!(dialled(&settings, "no-such-service.invalid", 9000, limit).is_err());
        let known = "no-such-service.invalid:9000:127.0.0.1:19000";
        settings.resolve = pipe_kit::address::Addresses::parse(known).unwrap();
        let found = dialled(&settings, "no-such-service.invalid", 9000, limit).unwrap();
        assert_eq!(found, ["127.0.0.1:19000".parse().unwrap()]);
        let own = dialled(&settings, "[::1]", 80, limit).unwrap();
        assert_eq!(own, ["[::1]:80".parse().unwrap()]);
    }
}
