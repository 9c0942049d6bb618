//! Where a setting's value comes from: the process environment before the `.env`. What an earlier resolution has put
//! into the process environment is no part of it.

use crate::deployment::Deployment;
use crate::dotenv;
use crate::libpq::Passed;
use crate::settings;
use anyhow::{Context, Result};
use pipe_kit::{Stop, warning};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

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

/// Which variables of the process environment count, as settings and for what the `.env` refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherited {
    /// All that the operator has set.
    All,
    /// Only `HOME` and `PATH`, which cron sets too.
    Host,
}

/// The two layers of settings as they were given.
#[derive(Debug, Default)]
pub struct Layers {
    /// The process environment, without what an earlier resolution has put there.
    pub environment: BTreeMap<String, String>,
    /// The `.env`.
    pub file: BTreeMap<String, String>,
}

impl Layers {
    /// Reads both; a missing `.env` is an empty one.
    ///
    /// # Errors
    /// [`Stop::usage`] if a line of the `.env` or a variable cannot be read.
    pub fn read(deployment: &Deployment, inherited: Inherited) -> Result<Self> {
        let environment = counted(process_environment()?, deployment, inherited);
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
    pub fn read_required(deployment: &Deployment, inherited: Inherited) -> Result<Self> {
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
        Self::read(deployment, inherited)
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

/// Removes from a program's environment what an earlier resolution has put into ours, so that it does not take one
/// deployment's values for another's.
pub fn forget_resolved(command: &mut Command) {
    for name in std::env::var(ADDED).unwrap_or_default().split_whitespace() {
        command.env_remove(name);
    }
    command.env_remove(ADDED).env_remove(RESOLVED);
}

/// The variables that count, of all.
fn counted(
    mut environment: BTreeMap<String, String>,
    deployment: &Deployment,
    inherited: Inherited,
) -> BTreeMap<String, String> {
    let (added, resolved) = (environment.remove(ADDED), environment.remove(RESOLVED));
    if added.is_some() || resolved.is_some() {
        for name in added.unwrap_or_default().split_whitespace() {
            environment.remove(name);
        }
        // What is not named there and steers the clients is the operator's own, if it is a setting.
        environment.retain(|name, _| !settings::is_foreign(name) || settings::is_known(name));
    }
    // It may name another deployment than the command line does.
    let is_ours = |value: &str| deployment.is(Path::new(value));
    environment.retain(|name, value| match inherited {
        Inherited::All => name != "PIPRIO_DEPLOY" || is_ours(value),
        Inherited::Host => name == "HOME" || name == "PATH",
    });
    environment
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
    fn what_an_earlier_resolution_has_set_does_not_count() {
        let resolved = [
            (RESOLVED, "1"),
            (ADDED, "AWS_ACCESS_KEY_ID PGHOST PGSSLROOTCERT PIPRIO_SET S3_BUCKET"),
            ("S3_BUCKET", "theirs"),
            ("AWS_ACCESS_KEY_ID", "theirs"),
            ("PGHOST", "theirs"),
            ("PGSSLROOTCERT", "theirs"),
            ("PGOPTIONS", "of a script in between"),
            ("PGSSLMODE", "asked for"),
            ("PIPRIO_DOMAIN", "asked.for"),
            ("PIPRIO_DEPLOY", "/"),
            ("HOME", "/root"),
        ];
        let all = layers(&resolved, &[]).environment;
        let (here, own) = (tempfile::tempdir().unwrap(), ["HOME", "PGSSLMODE", "PIPRIO_DOMAIN"]);
        let deployment = Deployment::at(here.path()).unwrap();
        let names = |all: &BTreeMap<String, String>, inherited| {
            counted(all.clone(), &deployment, inherited).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(names(&all, Inherited::All), own);
        assert_eq!(names(&all, Inherited::Host), ["HOME"]);
        let mut unmarked = all;
        unmarked.remove(RESOLVED);
        assert_eq!(names(&unmarked, Inherited::All), own);
        let mut all = layers(&[("PGOPTIONS", "the operator's")], &[]).environment;
        all.insert("PIPRIO_DEPLOY".to_owned(), here.path().display().to_string());
        assert_eq!(names(&all, Inherited::All), ["PGOPTIONS", "PIPRIO_DEPLOY"]);
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
