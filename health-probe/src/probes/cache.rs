//! The cache, asked for a PONG.

use crate::address;
use crate::probe::{Kind, Probe};
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use std::time::{Duration, Instant};

/// Whether the cache answers, after authentication and in the database that its URL names.
pub fn probe(settings: &Settings, timeout: Duration) -> Vec<Probe> {
    let start = Instant::now();
    let probe = match ping(settings, timeout) {
        Ok(()) => Probe::pass(Kind::Cache, "redis", "PONG").after(start.elapsed()),
        Err(error) => Probe::fail(Kind::Cache, "redis", format!("{error:#}")),
    };
    vec![probe]
}

fn ping(settings: &Settings, timeout: Duration) -> Result<()> {
    // The error of the URL may hold the URL.
    let info = settings.redis_url.as_str().into_connection_info().ok();
    let info = info.context("REDIS_URL is no URL of a cache")?;
    let client = Client::open(at_its_address(settings, info, timeout)?)?;
    let mut connection = client.get_connection_with_timeout(timeout)?;
    connection.set_read_timeout(Some(timeout))?;
    connection.set_write_timeout(Some(timeout))?;
    let answer: String = redis::cmd("PING").query(&mut connection)?;
    if answer != "PONG" {
        bail!("it answered PING with {answer}");
    }
    Ok(())
}

fn at_its_address(
    settings: &Settings,
    info: ConnectionInfo,
    timeout: Duration,
) -> Result<ConnectionInfo> {
    let first = |host: &str, port| {
        address::dialled(settings, host, port, timeout).map(|found| found.first().copied())
    };
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => match first(host, *port)? {
            Some(address) => {
                let addr = ConnectionAddr::Tcp(address.ip().to_string(), address.port());
                Ok(info.set_addr(addr))
            }
            None => Ok(info),
        },
        // The certificate is checked against the host that is dialled, so that stays.
        _ => Ok(info),
    }
}
