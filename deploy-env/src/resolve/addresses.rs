//! Addresses of services whose names do not resolve on this host, as the driver gives them.

use super::Resolver;
use crate::driver::Driver;
use crate::endpoint::{self, Endpoint};
use anyhow::{Context, Result};
use pipe_kit::warning;
use std::net::SocketAddr;

impl Resolver<'_> {
    /// Where services are reached whose names do not resolve on this host.
    pub(super) fn addresses(&mut self, driver: &Driver, reached: &[Endpoint]) -> Result<()> {
        let mut entries = Vec::new();
        for end in reached {
            if let Some(address) = self.address(driver, end)? {
                let from = pipe_kit::address::joined(&end.host, end.port);
                let entry = format!("{from}:{address}");
                if !entries.contains(&entry) {
                    entries.push(entry);
                }
            }
        }
        if !entries.is_empty() {
            self.export("PIPRIO_RESOLVE", entries.join(" "));
        }
        Ok(())
    }

    pub(super) fn address(&self, driver: &Driver, end: &Endpoint) -> Result<Option<SocketAddr>> {
        let host = end.host.as_str();
        if !endpoint::could_be_a_service(host) || endpoint::socket_address(host, end.port).is_some()
        {
            return Ok(None);
        }
        if !driver.services()?.iter().any(|name| name == host) {
            return Ok(None);
        }
        // A service that is down has no address; the tool that needs it reports more.
        let answer = driver.addr(host, end.port).and_then(|text| {
            let parts = text.rsplit_once(':').and_then(|(h, p)| Some((h, p.parse().ok()?)));
            let (h, p) = parts.with_context(|| format!("{host}: no HOST:PORT in the answer"))?;
            endpoint::socket_address(pipe_kit::address::bare(h), p)
                .with_context(|| format!("{host}: {h} does not resolve here"))
        });
        match answer {
            Ok(address) => Ok(Some(address)),
            Err(error) => {
                warning!("{host}:{} has no address here: {error:#}", end.port);
                Ok(None)
            }
        }
    }
}
