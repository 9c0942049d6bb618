//! The cache, by a PING.

use crate::address;
use crate::limit::Limit;
use crate::probe::Probe;
use crate::settings::Settings;
use anyhow::{Result, bail};
use bundle_format::report::ProbeKind;
use redis_link::{NoAnswer, Server};
use std::time::Instant;

/// Whether the cache answers, after authentication and in the database that its URL names.
pub fn probe(settings: &Settings, limit: Limit) -> Vec<Probe> {
    let start = Instant::now();
    let probe = match ping(settings, limit) {
        Ok(()) => Probe::pass(ProbeKind::Cache, "redis", "PONG").after(start.elapsed()),
        Err(error) if error.is::<NoAnswer>() => {
            Probe::fail(ProbeKind::Cache, "redis", limit.no_answer())
        }
        Err(error) => Probe::fail(ProbeKind::Cache, "redis", format!("{error:#}")),
    };
    vec![probe]
}

fn ping(settings: &Settings, limit: Limit) -> Result<()> {
    let server = Server::parse(&settings.redis_url)?;
    let at = address::dialled(settings, &server.host, server.port, limit)?;
    let mut connection = server.connect(&settings.redis_files, &at, limit.left())?;
    connection.set_limit(limit.left());
    let answer: String = connection.query(&["PING"])?;
    if answer != "PONG" {
        bail!("it answered PING with {answer}");
    }
    Ok(())
}
