//! The servers that a restore needs, whoever runs them.

use crate::run::Run;
use crate::{cache, database, storage};
use std::time::{Duration, Instant};

/// How long to wait between two tries of servers that are starting.
const PAUSE: Duration = Duration::from_secs(1);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Database,
    Cache,
    Storage,
}

impl Server {
    /// As messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Cache => "cache",
            Self::Storage => "object storage",
        }
    }
}

impl Run {
    /// Those that this restore needs and that answer.
    pub fn answering(&self) -> Vec<Server> {
        let needs_storage = self.settings.bundled_storage && self.bundle.mirror().is_some();
        let storage = needs_storage.then_some(Server::Storage);
        let needed = [Server::Database, Server::Cache].into_iter().chain(storage);
        needed.filter(|server| self.answers(*server)).collect()
    }

    pub fn answers(&self, server: Server) -> bool {
        match server {
            Server::Database => database::status(&self.settings).is_ok(),
            Server::Cache => cache::ping(&self.settings).is_ok(),
            Server::Storage => storage::bucket_exists(&self.settings).is_ok(),
        }
    }

    /// Waits until servers that were just started answer, for as long as services that start are waited for.
    pub fn wait_for(&self, servers: &[Server]) {
        let end = Instant::now() + Duration::from_secs(self.options.wait_seconds.into());
        while !servers.iter().all(|server| self.answers(*server)) && Instant::now() + PAUSE < end {
            std::thread::sleep(PAUSE);
        }
    }
}
