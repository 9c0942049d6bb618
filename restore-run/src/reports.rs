//! The JSON reports of the other tools, as far as a restore needs them. A test of the pipeline reads the real
//! reports by these declarations.

use serde::Deserialize;

/// `pg-snap status --json`
#[derive(Clone, Debug, Deserialize)]
pub struct DatabaseStatus {
    pub exists: bool,
    /// Null where the database does not exist, never absent; the same holds for what follows.
    #[serde(deserialize_with = "Option::deserialize")]
    pub oid: Option<u32>,
    /// Which server it is, whatever its address.
    #[serde(deserialize_with = "Option::deserialize")]
    pub system_identifier: Option<String>,
    /// Databases that earlier loads kept beside it.
    pub beside: Vec<Beside>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub size_bytes: Option<u64>,
    pub schemas: Vec<String>,
}

/// A database beside the one that is restored.
#[derive(Clone, Debug, Deserialize)]
pub struct Beside {
    pub oid: u32,
}

/// `obj-mirror status --json`
#[derive(Clone, Debug, Deserialize)]
pub struct BucketStatus {
    pub exists: bool,
    pub objects: u64,
    pub bytes: u64,
}

/// A member of the list of `cfg-pack extract --dry-run --json`
#[derive(Debug, Deserialize)]
pub struct Planned {
    /// `create`, `replace` or `set the mode of`
    pub action: String,
}

/// A member of the list of `deploy-env show --json`
#[derive(Debug, Deserialize)]
pub struct Row {
    pub setting: String,
    #[serde(deserialize_with = "Option::deserialize")]
    pub value: Option<String>,
}

/// `health-probe --json`
#[derive(Debug, Deserialize)]
pub struct Health {
    pub probes: Vec<Probe>,
}

/// One line of it.
#[derive(Debug, Deserialize)]
pub struct Probe {
    /// `database`, `cache`, `storage` or another
    pub kind: String,
    pub name: String,
    pub pass: bool,
    pub detail: String,
}
