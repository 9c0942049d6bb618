//! The settings of this run, as `deploy-env` has resolved them.

use bundle_format::report::RunKind;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Stands for the kind of the run in `NOTIFY_PING`.
const KIND: &str = "{run}";

/// What records, hooks and notifications need to know.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The deployment's directory.
    pub deploy: PathBuf,
    /// The deployment's domain, where it has one.
    pub domain: Option<String>,
    /// How long one hook may take.
    pub hook_limit: Duration,
    /// The file of metrics, where one is wanted.
    pub metrics: Option<PathBuf>,
    /// The directory that holds the bundles.
    pub root: Option<PathBuf>,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What `NOTIFY_PING` is for a kind of run. A URL that does not name the kind monitors backups: another run must not
/// pass for one.
pub fn ping_url(kind: RunKind) -> Option<Url> {
    let text = variable("NOTIFY_PING")?;
    if !text.contains(KIND) && kind != RunKind::Backup {
        return None;
    }
    Url::parse(&text.replace(KIND, kind.word())).ok()
}

/// `NOTIFY_URL`.
pub fn message_url() -> Option<Url> {
    Url::parse(&variable("NOTIFY_URL")?).ok()
}

impl Settings {
    /// Reads the environment; none where no deployment is resolved.
    pub fn from_environment() -> Option<Self> {
        let seconds = variable("HOOK_TIMEOUT_SECONDS").and_then(|text| text.parse().ok());
        Some(Self {
            deploy: variable("PIPRIO_DEPLOY")?.into(),
            domain: variable("PIPRIO_DOMAIN"),
            hook_limit: Duration::from_secs(seconds.unwrap_or(600)),
            metrics: variable("METRICS_FILE").map(PathBuf::from),
            root: variable("BACKUP_ROOT").map(PathBuf::from),
        })
    }

    /// Where the toolkit keeps its state.
    pub fn state_dir(&self) -> PathBuf {
        self.deploy.join(".restore")
    }
}
