//! A deployment's configuration as Compose resolves it, read from another directory than its own.

use crate::compose::Compose;
use crate::yaml;
use anyhow::{Context, Result, anyhow};
use pipe_kit::Stop;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The usual names, of which Compose takes the first that is there; and those of files that add to it.
pub const USUAL: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDE: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Prints two variables as Compose knows them.
const ASK: &str = "services: {ask: {image: ask, labels: \
                   {file: \"${COMPOSE_FILE-}\", separator: \"${COMPOSE_PATH_SEPARATOR-}\"}}}\n";

/// The Compose files that `COMPOSE_FILE` names; none where it is not set.
///
/// # Errors
/// If Compose cannot read the `.env`.
pub fn named_files(compose: &Compose, deploy: &Path) -> Result<Vec<PathBuf>> {
    let asked = compose.configuration_of(ASK)?;
    let label = |name: &str| {
        let value = asked.pointer("/services/ask/labels").and_then(|labels| labels.get(name));
        value.and_then(Value::as_str).unwrap_or_default().replace("$$", "$")
    };
    Ok(named(&label("file"), &label("separator"), deploy))
}

/// The Compose files of a deployment: those that `COMPOSE_FILE` names, else the usual ones in its directory.
///
/// # Errors
/// [`Stop::refused`] where there is none.
pub fn files(compose: &Compose, deploy: &Path) -> Result<Vec<PathBuf>> {
    let named = named_files(compose, deploy)?;
    if !named.is_empty() {
        return Ok(named);
    }
    let first =
        |names: [&str; 4]| names.map(|name| deploy.join(name)).into_iter().find(|it| it.exists());
    let file = first(USUAL).ok_or_else(|| {
        Stop::refused(format!("there is no Compose file in {}", deploy.display()))
    })?;
    Ok(std::iter::once(file).chain(first(OVERRIDE)).collect())
}

fn named(text: &str, separator: &str, deploy: &Path) -> Vec<PathBuf> {
    let separator = if separator.is_empty() { ":" } else { separator };
    let names = text.split(separator).filter(|name| !name.is_empty());
    names.map(|name| deploy.join(name)).collect()
}

/// What a configuration is read from.
pub struct Source<'a> {
    pub files: &'a [PathBuf],
    /// The directory with the `.env`, in which relative paths lie.
    pub dir: &'a Path,
    pub project: &'a str,
}

impl Source<'_> {
    fn words(&self) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut words = vec!["--project-directory".to_owned(), text(self.dir)];
        words.extend(["--env-file".to_owned(), text(&self.dir.join(".env"))]);
        words.extend(["-p".to_owned(), self.project.to_owned()]);
        for file in self.files {
            words.extend(["-f".to_owned(), text(file)]);
        }
        words
    }
}

/// The whole configuration.
///
/// # Errors
/// If Compose cannot read it.
pub fn read(compose: &Compose, source: &Source<'_>) -> Result<Value> {
    let mut words = source.words();
    words.push("config".into());
    // What both print is YAML; the plugin can be more exact.
    if compose.is_plugin() {
        words.extend(["--format", "json"].map(str::to_owned));
    }
    parse(&compose.output(&words, "config", None)?, compose)
}

/// The names of the services whose profiles are active.
///
/// # Errors
/// If Compose cannot read it.
pub fn active(compose: &Compose, source: &Source<'_>) -> Result<BTreeSet<String>> {
    let mut words = source.words();
    words.extend(["config", "--hash", "*"].map(str::to_owned));
    Ok(first_words(&compose.output(&words, "config", None)?))
}

/// The first word of each line.
pub fn first_words(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn parse(text: &str, compose: &Compose) -> Result<Value> {
    // The cause is not shown: it may quote a password.
    let parsed = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).ok()
    } else {
        yaml::parse(text)
    };
    parsed
        .filter(Value::is_object)
        .ok_or_else(|| anyhow!("{} config printed no configuration", compose.name()))
}

impl Compose {
    /// The configuration in a text, with the variables of the deployment.
    fn configuration_of(&self, text: &str) -> Result<Value> {
        let words = ["-f", "-", "config"].map(str::to_owned);
        let printed = self.output(&words, "config", Some(text));
        parse(&printed.context("Compose cannot read the deployment's .env")?, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_files_lie_in_the_deployment_unless_they_are_absolute() {
        let named = |text: &str, separator: &str| {
            let files = named(text, separator, Path::new("/srv/deploy"));
            files.iter().map(|it| it.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(named("", ""), [""; 0]);
        assert_eq!(named("a.yml:/b.yml", ""), ["/srv/deploy/a.yml", "/b.yml"]);
        assert_eq!(named("a:b.yml;c.yml", ";"), ["/srv/deploy/a:b.yml", "/srv/deploy/c.yml"]);
    }
}
