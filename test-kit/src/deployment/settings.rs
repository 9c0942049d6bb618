//! What all throwaway deployments have in common, and how one is made.

use crate::postgres;
use std::path::PathBuf;

/// `PIPRIO_DOMAIN` of every throwaway deployment: what is typed at the restore's prompt.
pub const DOMAIN: &str = "demo.piprio.test";
/// Its database.
pub const DATABASE: &str = "piprio";
/// Its bucket.
pub const BUCKET: &str = "documents";
/// The cache's database number.
pub const REDIS_DATABASE: u32 = 3;
/// Services that hold state, and those that do not.
pub const STATEFUL: [&str; 3] = ["minio", "postgres", "redis"];
/// Services that a restore stops.
pub const APPS: [&str; 2] = ["api", "worker"];

/// How a deployment is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Object storage is somebody else's: no service of the deployment, `OBJECT_STORAGE=external`.
    pub external_storage: bool,
    /// Tenant schemas in the database.
    pub tenants: u32,
    /// Documents in each of them.
    pub docs: u32,
    /// Objects in the bucket.
    pub objects: usize,
    /// Arguments to `initdb`: locale and encoding.
    pub initdb: Vec<String>,
    /// Where the built tools are; the workspace's own are built where it is not set.
    pub bin_dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            external_storage: false,
            tenants: 3,
            docs: 40,
            objects: 36,
            initdb: postgres::Options::default().initdb,
            bin_dir: None,
        }
    }
}
