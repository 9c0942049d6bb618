//! Where a setting's value comes from: the process environment before the `.env`.

use crate::deployment::Deployment;
use crate::dotenv;
use crate::libpq::Passed;
use crate::settings;
use anyhow::{Context, Result};
use pipe_kit::{Stop, warning};
use std::collections::BTreeMap;
use std::io::ErrorKind;

/// The variable that marks an environment that is already resolved.
pub const RESOLVED: &str = "PIPRIO_RESOLVED";
/// The variable that names what was added to it.
pub const ADDED: &str = "PIPRIO_SET";

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The process environment.
    Environment,
    /// The deployment's `.env`.
    #[serde(rename = ".env")]
    File,
    /// The built-in default.
    Default,
    /// Worked out from other settings, the services and this host.
    Detected,
    /// Nowhere: it has no value.
    Unset,
}

/// A value as the operator gave it, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The value, not empty.
    pub value: String,
    /// The layer.
    pub source: Source,
    /// The name in that layer.
    pub name: &'static str,
}

/// The two layers of settings as they were given.
#[derive(Debug, Default)]
pub struct Layers {
    /// The process environment.
    pub environment: BTreeMap<String, String>,
    /// The `.env`.
    pub file: BTreeMap<String, String>,
}

impl Layers {
    /// Reads both; a missing `.env` is an empty one.
    ///
    /// # Errors
    /// [`Stop::usage`] if a line of the `.env` or a variable cannot be read.
    pub fn read(deployment: &Deployment) -> Result<Self> {
        let environment = process_environment()?;
        let path = deployment.dotenv();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", path.display()));
            }
        };
        let parsed = dotenv::parse(&bytes, &environment)
            .map_err(|e| Stop::usage(format!("{}, {e}", path.display())))?;
        for (line, key, variable) in &parsed.unset {
            if settings::is_known(key) {
                warning!(
                    "{}, line {line}: {key} refers to {variable}, which is not set; an empty value is used",
                    path.display()
                );
            }
        }
        Ok(Self { environment, file: parsed.values })
    }

    /// Reads both; there must be a `.env`.
    ///
    /// # Errors
    /// As [`Layers::read`]; [`Stop::refused`] if there is none.
    pub fn read_required(deployment: &Deployment) -> Result<Self> {
        let path = deployment.dotenv();
        if std::fs::symlink_metadata(&path).is_err_and(|e| e.kind() == ErrorKind::NotFound) {
            let message = format!(
                "{} is missing, so this deployment is not configured: create it, take it from a \
                 bundle (tar xzf BUNDLE/config.tar.gz -C {} .env), or name another deployment \
                 with PIPRIO_DEPLOY=DIR",
                path.display(),
                deployment.dir().display()
            );
            return Err(Stop::refused(message).into());
        }
        Self::read(deployment)
    }

    /// Leaves out of the process environment what an earlier resolution put there, so that one
    /// deployment's values are never read as another's settings.
    pub fn forget_resolved(&mut self) {
        if !self.environment.contains_key(RESOLVED) {
            return;
        }
        let added = self.environment.get(ADDED).cloned().unwrap_or_default();
        for name in added.split_whitespace() {
            self.environment.remove(name);
        }
        // What is not named there and steers the clients is the operator's own, if it is a setting.
        self.environment.retain(|name, _| {
            name != RESOLVED && (!settings::is_foreign(name) || settings::is_known(name))
        });
    }

    /// A setting's value and source. Empty counts as not set, and in the environment hides the
    /// file's value, as it does for Compose.
    pub fn get(&self, key: &str) -> Option<(&str, Source)> {
        let found = match self.environment.get(key) {
            Some(value) => (value.as_str(), Source::Environment),
            None => (self.file.get(key)?.as_str(), Source::File),
        };
        Some(found).filter(|(value, _)| !value.is_empty())
    }

    /// A setting's value in one layer, where no other hides it.
    pub fn in_layer(&self, key: &str, layer: Source) -> Option<&str> {
        self.get(key).filter(|(_, source)| *source == layer).map(|(value, _)| value)
    }

    /// What an operator gave for one of libpq's settings: the environment before the `.env`, and of
    /// the two names in one layer, the deployment's own. An empty value in the environment hides the
    /// `.env`.
    pub fn given(&self, passed: &'static Passed) -> Option<Given> {
        for (layer, source) in
            [(&self.environment, Source::Environment), (&self.file, Source::File)]
        {
            let there = [passed.setting, passed.variable].map(|name| (name, layer.get(name)));
            let full = there.iter().find_map(|(name, value)| {
                let value = (*value)?.as_str();
                (!value.is_empty()).then(|| Given { value: value.to_owned(), source, name })
            });
            if full.is_some() || there.iter().any(|(_, value)| value.is_some()) {
                return full;
            }
        }
        None
    }
}

fn process_environment() -> Result<BTreeMap<String, String>> {
    let mut environment = BTreeMap::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => {
                environment.insert(name, value);
            }
            Err(_) if settings::is_known(&name) => {
                return Err(Stop::usage(format!("the variable {name} is not UTF-8")).into());
            }
            Err(_) => {}
        }
    }
    Ok(environment)
}

#[cfg(test)]
pub(crate) fn layers(environment: &[(&str, &str)], file: &[(&str, &str)]) -> Layers {
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    Layers { environment: map(environment), file: map(file) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libpq::SSLMODE;

    #[test]
    fn the_environment_wins_over_the_file_even_when_empty() {
        let both = layers(&[("A", "env"), ("B", "")], &[("A", "file"), ("B", "file"), ("C", "c")]);
        assert_eq!(both.get("A"), Some(("env", Source::Environment)));
        assert_eq!(both.get("B"), None);
        assert_eq!(both.get("C"), Some(("c", Source::File)));
        assert_eq!(both.in_layer("A", Source::File), None);
    }

    #[test]
    fn another_deployments_resolved_values_are_not_settings() {
        let mut nested = layers(
            &[
                (RESOLVED, "1"),
                (ADDED, "AWS_ACCESS_KEY_ID PGHOST PGSSLROOTCERT PIPRIO_SET S3_BUCKET"),
                ("S3_BUCKET", "theirs"),
                ("AWS_ACCESS_KEY_ID", "theirs"),
                ("PGHOST", "theirs"),
                ("PGSSLROOTCERT", "theirs"),
                ("PGOPTIONS", "of a script in between"),
                ("PGSSLMODE", "asked for"),
                ("PIPRIO_DOMAIN", "asked.for"),
            ],
            &[],
        );
        nested.forget_resolved();
        assert_eq!(nested.environment.keys().collect::<Vec<_>>(), ["PGSSLMODE", "PIPRIO_DOMAIN"]);
    }

    type Pairs = &'static [(&'static str, &'static str)];

    #[test]
    fn the_environment_wins_over_the_file_under_either_name() {
        let cases: [(Pairs, Pairs, Option<&str>); 9] = [
            (&[], &[], None),
            (&[], &[("PGSSLMODE", "verify-full")], Some("verify-full")),
            (&[], &[("POSTGRES_SSLMODE", "verify-full")], Some("verify-full")),
            (&[("PGSSLMODE", "require")], &[("POSTGRES_SSLMODE", "verify-full")], Some("require")),
            (&[("POSTGRES_SSLMODE", "require")], &[("PGSSLMODE", "verify-full")], Some("require")),
            (&[("PGSSLMODE", "")], &[("POSTGRES_SSLMODE", "verify-full")], None),
            (&[], &[("PGSSLMODE", "allow"), ("POSTGRES_SSLMODE", "verify-ca")], Some("verify-ca")),
            // A line of a template that nobody filled in weakens nothing.
            (&[], &[("PGSSLMODE", "verify-ca"), ("POSTGRES_SSLMODE", "")], Some("verify-ca")),
            (&[("POSTGRES_SSLMODE", ""), ("PGSSLMODE", "allow")], &[], Some("allow")),
        ];
        for (environment, file, expected) in cases {
            let found = layers(environment, file).given(&SSLMODE).map(|g| g.value);
            assert_eq!(found.as_deref(), expected, "{environment:?} {file:?}");
        }
    }
}
