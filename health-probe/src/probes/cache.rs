//! The cache, asked for a PONG.

use crate::address;
use crate::limit::Limit;
use crate::probe::{Kind, Probe};
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use std::time::Instant;

/// Whether the cache answers, after authentication and in the database that its URL names.
pub fn probe(settings: &Settings, limit: Limit) -> Vec<Probe> {
    let start = Instant::now();
    let probe = match ping(settings, limit) {
        Ok(()) => Probe::pass(Kind::Cache, "redis", "PONG").after(start.elapsed()),
        Err(error) => Probe::fail(Kind::Cache, "redis", format!("{error:#}")),
    };
    vec![probe]
}

fn ping(settings: &Settings, limit: Limit) -> Result<()> {
    // The error of the URL may hold the URL.
    let info = settings.redis_url.as_str().into_connection_info().ok();
    let info = info.context("REDIS_URL is no URL of a cache")?;
    let client = Client::open(at_its_address(settings, info, limit)?)?;
    let mut connection = client.get_connection_with_timeout(limit.left())?;
    connection.set_read_timeout(Some(limit.left()))?;
    connection.set_write_timeout(Some(limit.left()))?;
    let answer: String = redis::cmd("PING").query(&mut connection)?;
    if answer != "PONG" {
        bail!("it answered PING with {answer}");
    }
    Ok(())
}

fn at_its_address(
    settings: &Settings,
    info: ConnectionInfo,
    limit: Limit,
) -> Result<ConnectionInfo> {
    let first = |host: &str, port| {
        address::dialled(settings, host, port, limit).map(|found| found.first().copied())
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
