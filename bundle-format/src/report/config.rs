//! `cfg-pack extract` and `deploy-env show`.

use serde::{Deserialize, Serialize};

/// A member of the list of `cfg-pack extract --dry-run --json`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFile {
    /// Relative to the deployment.
    pub path: String,
    /// `create`, `replace`, or `set the mode of`, `set the ACL of`, `set the attributes of`
    pub action: String,
}

/// A member of the list of `deploy-env show --json`. What `Source` is, `deploy-env` alone knows; another reader
/// ignores it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShownSetting<Source = serde::de::IgnoredAny> {
    /// The setting's name.
    pub setting: String,
    /// Its value, secrets masked; null where there is none.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: Source,
    /// Why it has this value, where it was detected.
    pub reason: Option<String>,
}
