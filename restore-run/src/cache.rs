//! The cache. Over a restored database, a stale one is corruption by another name.

use crate::settings::Settings;
use anyhow::{Context, Result};
use pipe_kit::address::{Addresses, joined};
use redis_link::{Connection, Files, Server};
use std::net::ToSocketAddrs;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

fn connect(settings: &Settings) -> Result<Connection> {
    let server = Server::parse(&settings.redis_url)?;
    let known = Addresses::parse(&settings.variable("PIPRIO_RESOLVE").unwrap_or_default())?;
    // Only the address changes; the certificate is checked against the server's own name.
    let (host, port) = known.find(&server.host, server.port).unwrap_or((&server.host, server.port));
    let at = (host, port).to_socket_addrs();
    let at = at.with_context(|| format!("{} does not resolve here", joined(host, port)))?;
    server.connect(&Files::of(|name| settings.variable(name)), &at.collect::<Vec<_>>(), TIMEOUT)
}

/// Checks that the cache answers.
pub fn ping(settings: &Settings) -> Result<()> {
    let ping = || -> Result<()> { connect(settings)?.query::<String>(&["PING"]).map(drop) };
    ping().with_context(|| format!("the cache {}", settings.redis_without_password()))
}

/// Empties the cache's database, and returns how many keys it held.
pub fn flush(settings: &Settings) -> Result<u64> {
    let flush = || -> Result<u64> {
        let mut connection = connect(settings)?;
        let keys = connection.query(&["DBSIZE"])?;
        connection.set_limit(TIMEOUT);
        connection.query::<()>(&["FLUSHDB"])?;
        Ok(keys)
    };
    flush().with_context(|| format!("emptying the cache {}", settings.redis_without_password()))
}
