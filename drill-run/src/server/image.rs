//! The image of the deployment's own database service.

use super::bounded;
use super::engine::{ANSWER, docker};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long the driver may take: Compose reads its configuration first.
const DRIVER: Duration = Duration::from_secs(120);

/// An image that the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub id: String,
    /// As an operator knows it.
    pub name: String,
    /// The user to start programs as; none if that is the image's own.
    pub user: Option<&'static str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    id: String,
    repo_tags: Option<Vec<String>>,
    config: Option<Config>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    user: Option<String>,
}

impl Image {
    /// That of a service, as the driver names it. Nothing is pulled.
    ///
    /// # Errors
    /// If the driver knows none, or the engine does not answer or has no such image.
    pub fn of_service(driver: &Path, service: &str) -> Result<Self> {
        let what = format!("{} image {service}", driver.display());
        let mut command = Command::new(driver);
        command.args(["image", service]);
        let answer = bounded::read(&mut command, DRIVER, &what)?.check(&what)?.text;
        let name = answer.trim();
        if name.is_empty() || name.starts_with('-') || name.contains(char::is_whitespace) {
            bail!("{what} printed no image: {:?}", name);
        }
        Self::named(name)
    }

    fn named(name: &str) -> Result<Self> {
        let what = format!("docker image inspect {name}");
        let mut command = docker(&["image", "inspect", name]);
        let text = bounded::read(&mut command, ANSWER, &what)?.check(&what)?.text;
        Self::read(&text).with_context(|| format!("{what} printed no JSON of an image"))
    }

    fn read(text: &str) -> Option<Self> {
        let described = serde_json::from_str::<Vec<Described>>(text).ok()?.into_iter().next()?;
        let user = described.config.and_then(|config| config.user).unwrap_or_default();
        let name = described.repo_tags.unwrap_or_default().into_iter().next();
        // PostgreSQL refuses to run as root; the user of that name is in every image of it that begins as root.
        let is_root = matches!(user.split(':').next(), None | Some("" | "0" | "root"));
        Some(Self {
            name: name.unwrap_or_else(|| described.id.clone()),
            id: described.id,
            user: is_root.then_some("postgres"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_described_by_its_first_name_and_runs_as_no_root() {
        for (tags, user, name, expected) in [
            (r#"["postgres:15","db:1"]"#, r#""""#, "postgres:15", Some("postgres")),
            ("[]", r#""root""#, "sha256:1", Some("postgres")),
            ("null", r#""0:0""#, "sha256:1", Some("postgres")),
            ("[]", r#""1001""#, "sha256:1", None),
            ("[]", "null", "sha256:1", Some("postgres")),
        ] {
            let text =
                format!(r#"[{{"Id":"sha256:1","RepoTags":{tags},"Config":{{"User":{user}}}}}]"#);
            let image = Image::read(&text).unwrap();
            assert_eq!((image.name.as_str(), image.user), (name, expected), "{text}");
        }
        assert!(Image::read("[]").is_none() && Image::read("no").is_none());
    }

    #[test]
    fn a_driver_without_the_verb_or_with_no_answer_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let driver = dir.path().join("driver");
        for (script, words) in [
            ("echo 'usage: …' >&2; exit 2", "image db failed (exit status: 2): usage: …"),
            ("echo", "image db printed no image: \"\""),
            ("echo --rm", "image db printed no image: \"--rm\""),
        ] {
            crate::server::tests::write_script(&driver, script);
            let error = Image::of_service(&driver, "db").unwrap_err().to_string();
            assert!(error.ends_with(words), "{error}");
        }
    }
}
