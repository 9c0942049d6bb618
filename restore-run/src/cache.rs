//! The cache: a stale one over a restored database is corruption by another name.

use crate::settings::Settings;
use crate::tool;
use anyhow::{Context, Result, anyhow};
use redis::{Connection, ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

fn connect(settings: &Settings) -> Result<Connection> {
    let what = || format!("the cache {}", settings.redis_for_people());
    // Errors of the client may hold the URL, and with it the password: only their kind is told.
    let plain = |e: redis::RedisError| anyhow!("{}", e.kind_text());
    let info =
        settings.redis_url.as_str().into_connection_info().map_err(plain).with_context(what)?;
    let info = dialled(info, &tool::variable("PIPRIO_RESOLVE").unwrap_or_default());
    let client = redis::Client::open(info).map_err(plain).with_context(what)?;
    let connection =
        client.get_connection_with_timeout(TIMEOUT).map_err(told).with_context(what)?;
    connection.set_read_timeout(Some(TIMEOUT)).map_err(plain).with_context(what)?;
    connection.set_write_timeout(Some(TIMEOUT)).map_err(plain).with_context(what)?;
    Ok(connection)
}

trait KindText {
    fn kind_text(&self) -> String;
}

impl KindText for redis::RedisError {
    fn kind_text(&self) -> String {
        self.code().map_or_else(|| format!("{:?}", self.kind()), str::to_owned)
    }
}

/// An error of the connection or of the server, which never repeats what we sent.
fn told(error: redis::RedisError) -> anyhow::Error {
    anyhow!("{error}")
}

/// The same server, at the address that answers from here.
fn dialled(info: ConnectionInfo, resolve: &str) -> ConnectionInfo {
    let ConnectionAddr::Tcp(host, port) = info.addr() else { return info };
    let wanted = format!("{host}:{port}:");
    let Some(to) = resolve.split_whitespace().find_map(|entry| entry.strip_prefix(&wanted)) else {
        return info;
    };
    match to.rsplit_once(':').and_then(|(h, p)| Some((h.to_owned(), p.parse().ok()?))) {
        Some((host, port)) => info.set_addr(ConnectionAddr::Tcp(host, port)),
        None => info,
    }
}

/// Whether the cache answers.
///
/// # Errors
/// If it does not.
pub fn ping(settings: &Settings) -> Result<()> {
    let mut connection = connect(settings)?;
    redis::cmd("PING")
        .query::<String>(&mut connection)
        .map(drop)
        .map_err(told)
        .with_context(|| format!("the cache {}", settings.redis_for_people()))
}

/// Empties the cache's database; gives how many keys it held.
///
/// # Errors
/// If the cache does not answer or refuses.
pub fn flush(settings: &Settings) -> Result<u64> {
    let mut connection = connect(settings)?;
    let what = || format!("emptying the cache {}", settings.redis_for_people());
    let keys = redis::cmd("DBSIZE").query(&mut connection).map_err(told).with_context(what)?;
    redis::cmd("FLUSHDB").query::<()>(&mut connection).map_err(told).with_context(what)?;
    Ok(keys)
}
