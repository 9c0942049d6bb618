//! The settings of this run, as `deploy-env` has resolved them.

use std::path::PathBuf;
use std::time::Duration;

/// What records, hooks and notifications need to know.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The deployment's directory.
    pub deploy: PathBuf,
    /// How long one hook may take.
    pub hook_limit: Duration,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Settings {
    /// Reads the environment; none where no deployment is resolved.
    pub fn from_environment() -> Option<Self> {
        let seconds = variable("HOOK_TIMEOUT_SECONDS").and_then(|text| text.parse().ok());
        Some(Self {
            deploy: variable("PIPRIO_DEPLOY")?.into(),
            hook_limit: Duration::from_secs(seconds.unwrap_or(600)),
        })
    }

    /// Where the toolkit keeps its state.
    pub fn state_dir(&self) -> PathBuf {
        self.deploy.join(".restore")
    }
}
