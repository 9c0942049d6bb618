//! `cfg-pack extract`, `deploy-env show` and `deploy-env check`.

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

/// `deploy-env check --json`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsCheck {
    /// Why the settings do not resolve, where they do not; without a value of theirs.
    pub problem: Option<String>,
    /// The database that they name.
    pub database: String,
    /// The files that the `.env` names, sorted by the settings' names.
    pub files: Vec<SettingFile>,
}

/// A setting of the `.env` whose name ends in `_FILE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingFile {
    /// The setting's name.
    pub setting: String,
    /// The file: relative to the deployment where it lies there, else absolute.
    pub path: String,
    /// Whether it lies in the deployment.
    pub inside: bool,
    /// Whether the toolkit reads the setting, or it names a secret or a certificate of the deployment.
    pub expected: bool,
    /// Whether there is such a file.
    pub exists: bool,
}
