//! The secrets and configurations that services name: those of the bundle, or none.

use super::dollar;
use super::facts::{Facts, Kind, Place};
use anyhow::Result;
use pipe_kit::Stop;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What a section of the configuration defines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Secrets,
    Configs,
}

impl Section {
    pub fn key(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Configs => "configs",
        }
    }

    fn one(self) -> &'static str {
        match self {
            Self::Secrets => "secret",
            Self::Configs => "configuration",
        }
    }

    /// The names that a service uses.
    pub fn used_by(self, service: &Map<String, Value>) -> Vec<String> {
        let entries = service.get(self.key()).and_then(Value::as_array).into_iter().flatten();
        let name = |entry: &Value| match entry {
            Value::String(name) => Some(name.clone()),
            long => long.get("source").and_then(Value::as_str).map(str::to_owned),
        };
        entries.filter_map(name).collect()
    }

    /// A definition as the drill has it.
    ///
    /// # Errors
    /// [`Stop::refused`] for what no bundle has, or this one does not.
    pub fn isolated(
        self,
        name: &str,
        definition: &Value,
        service: &str,
        facts: &Facts<'_>,
    ) -> Result<Value> {
        let what = format!("the {} {name} of the service {service}", self.one());
        let has = |key: &str| definition.get(key).is_some_and(|value| !value.is_null());
        let is_external = definition.get("external").is_some_and(|value| *value != json!(false));
        if is_external || has("driver") || has("template_driver") {
            return Err(Stop::refused(format!(
                "{what} is external: the engine keeps it, and no bundle has it"
            ))
            .into());
        }
        if let Some(file) = definition.get("file").and_then(Value::as_str) {
            let file = dollar::single(file);
            let file = self.file(Path::new(&file), &what, service, facts)?;
            return Ok(json!({"file": dollar::doubled(&file.to_string_lossy())}));
        }
        for key in ["environment", "content"] {
            if has(key) {
                return Ok(json!({key: definition[key]}));
            }
        }
        Err(Stop::refused(format!("{what} is defined in a way that is not known")).into())
    }

    /// A configuration may be the deployment's own, as its Compose file is; a secret may not.
    fn file(self, file: &Path, what: &str, service: &str, facts: &Facts<'_>) -> Result<PathBuf> {
        let theirs = match facts.place(file) {
            Place::Host(path) => path,
            Place::Deployment(inside) => match facts.of_bundle(&inside, service)? {
                Some(own) => return Ok(own),
                None => facts.deploy.join(inside),
            },
        };
        let shown = theirs.display();
        match (self, (facts.kind)(&theirs)) {
            (Self::Configs, Kind::File) => Ok(theirs),
            (Self::Configs, _) => {
                Err(Stop::refused(format!("{what}: there is no file {shown}")).into())
            }
            (Self::Secrets, _) => Err(Stop::refused(format!(
                "{what} is the file {shown}, which the bundle does not have; a bundle has .env, \
                 secrets/ and certs/"
            ))
            .into()),
        }
    }
}
