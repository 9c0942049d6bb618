//! The certificates of the cache.

use super::{Resolver, half_a_pair};
use crate::secret;
use anyhow::Result;
use pipe_kit::warning;

impl Resolver<'_> {
    /// The certificates of a cache over TLS. Who needs the cache reads them, and no backup does.
    pub(super) fn cache_files(&mut self, is_tls: bool) -> Result<()> {
        for key in ["REDIS_CA_FILE", "REDIS_CERT_FILE", "REDIS_KEY_FILE"] {
            let Some(path) = self.take(key) else { continue };
            if !is_tls {
                warning!(
                    "{key} is not used: REDIS_URL is not a rediss:// URL, so the connection has no TLS"
                );
            }
            let path = secret::locate(self.deployment, &path);
            self.export(key, path.to_string_lossy().into_owned());
        }
        let set = |key: &str| self.layers.get(key).is_some();
        match (set("REDIS_CERT_FILE"), set("REDIS_KEY_FILE")) {
            (true, false) => Err(half_a_pair("REDIS_CERT_FILE", "REDIS_KEY_FILE")),
            (false, true) => Err(half_a_pair("REDIS_KEY_FILE", "REDIS_CERT_FILE")),
            _ => Ok(()),
        }
    }
}
