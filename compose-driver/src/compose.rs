//! Compose: `docker compose`, else `docker-compose`.

use crate::client;
use crate::deployment::Deployment;
use crate::docker::{self, ANSWER};
use crate::drill;
use anyhow::{Context, Result, anyhow, bail};
use pipe_kit::log;
use saphyr::{LoadableYamlNode, Yaml};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long the last line of a log may take.
const LOG: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Compose {
    words: &'static [&'static str],
    deployment: PathBuf,
}

impl Compose {
    /// # Errors
    /// If there is no Compose.
    pub fn find(deployment: &Deployment) -> Result<Self> {
        let mut ask = docker::command(&["compose", "version"]);
        ask.stdout(Stdio::null()).stderr(Stdio::null());
        let words: &[&str] = if client::run(ask, ANSWER, "docker compose version")?.success() {
            &["docker", "compose"]
        } else if is_on_path("docker-compose") {
            &["docker-compose"]
        } else {
            bail!("neither \"docker compose\" nor docker-compose is installed");
        };
        Ok(Self { words, deployment: deployment.dir().to_owned() })
    }

    /// The same Compose for another directory.
    pub fn of(&self, deployment: &Deployment) -> Self {
        Self { words: self.words, deployment: deployment.dir().to_owned() }
    }

    /// Whether it is a plugin of `docker`.
    pub fn is_plugin(&self) -> bool {
        self.words.len() > 1
    }

    /// As it is typed.
    pub fn name(&self) -> String {
        self.words.join(" ")
    }

    /// To Compose the environment wins over `.env`, which a restore may have changed since the run
    /// began: what the run has set is taken away.
    fn command<I: AsRef<str>>(&self, words: &[I]) -> Command {
        let mut command = Command::new(self.words[0]);
        command.args(&self.words[1..]).args(words.iter().map(AsRef::as_ref)).stdin(Stdio::null());
        for name in std::env::var("PIPRIO_SET").unwrap_or_default().split_whitespace() {
            command.env_remove(name);
        }
        // Compose takes the directory from it, and notes that in the containers.
        command.env("PWD", &self.deployment).current_dir(&self.deployment);
        // A drill's directory has no file of the usual names. The plugin would look for one in the directories above,
        // where the deployment's own is, before it reads the .env that names the drill's.
        if let Ok(project) = drill::prepared(&self.deployment) {
            command.env("COMPOSE_FILE", drill::FILE).env("COMPOSE_PROJECT_NAME", project);
        }
        command
    }

    fn ask(&self, words: &[&str]) -> Result<String> {
        client::text(self.command(words), ANSWER, &format!("{} {}", self.name(), words[0]))
    }

    /// What it prints with any options before its verb, and a short text as standard input.
    ///
    /// # Errors
    /// If it fails or does not end in time.
    pub fn output(&self, words: &[String], verb: &str, input: Option<&str>) -> Result<String> {
        let mut command = self.command(words);
        if let Some(input) = input {
            let (reader, mut writer) = std::io::pipe()?;
            std::io::Write::write_all(&mut writer, input.as_bytes())?;
            command.stdin(reader);
        }
        client::text(command, ANSWER, &format!("{} {verb}", self.name()))
    }

    /// The ids of the project's containers, whatever their state.
    pub fn container_ids(&self) -> Result<Vec<String>> {
        let text = self.ask(&["ps", "-a", "-q"]).with_context(|| {
            let dir = self.deployment.display();
            format!("cannot ask {} for the containers of {dir}", self.name())
        })?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    /// The services of the active profiles. `config --services` of docker-compose names all the
    /// others too.
    pub fn services(&self) -> Result<BTreeSet<String>> {
        Ok(self.hashes()?.into_keys().collect())
    }

    /// The same, each with a hash of what its containers are created from.
    ///
    /// # Errors
    /// If the configuration cannot be read.
    pub fn hashes(&self) -> Result<BTreeMap<String, String>> {
        let text = self.configuration(&["config", "--hash", "*"])?;
        let pair = |line: &str| {
            let (name, hash) = line.split_once(' ').unwrap_or((line, ""));
            (name.to_owned(), hash.trim().to_owned())
        };
        Ok(text.lines().map(pair).collect())
    }

    /// The whole configuration.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn resolved(&self) -> Result<serde_json::Value> {
        let text = self.configuration(&["config"])?;
        crate::yaml::parse(&text).ok_or_else(|| self.no_services())
    }

    /// The services whose configuration sets how many containers they have.
    pub fn scaled_services(&self) -> Result<BTreeSet<String>> {
        let text = self.configuration(&["config"])?;
        scaled(&text).ok_or_else(|| self.no_services())
    }

    /// The image that the configuration names for a service, if it names one.
    ///
    /// # Errors
    /// If the configuration cannot be read.
    pub fn image(&self, service: &str) -> Result<Option<String>> {
        let text = self.configuration(&["config"])?;
        image(&text, service).ok_or_else(|| self.no_services())
    }

    /// The cause is not shown: it may quote a password.
    fn no_services(&self) -> anyhow::Error {
        anyhow!("{} config printed no YAML with services", self.name())
    }

    fn configuration(&self, words: &[&str]) -> Result<String> {
        self.ask(words).with_context(|| {
            let (dir, name) = (self.deployment.display(), self.name());
            format!("the configuration in {dir} cannot be read by {name}")
        })
    }

    /// Stops services. In one of other profiles, Compose knows a service only by its containers.
    ///
    /// # Errors
    /// If it fails or does not end in time.
    pub fn stop(&self, names: &[String], limit: Duration) -> Result<()> {
        self.act(&[&["stop".to_owned()], names].concat(), limit)
    }

    /// Creates and starts services, each as its configuration defines, with `NAME=COUNT` of some.
    ///
    /// # Errors
    /// If it fails or does not end in time.
    pub fn up(&self, names: &[String], scales: &[String], limit: Duration) -> Result<()> {
        let mut words = ["up", "-d", "--no-deps"].map(str::to_owned).to_vec();
        words.extend(scales.iter().flat_map(|scale| ["--scale".to_owned(), scale.clone()]));
        words.extend_from_slice(names);
        self.act(&words, limit)
    }

    /// Runs Compose with all that it prints on our standard error; with `--quiet` only if it fails.
    fn act(&self, words: &[String], limit: Duration) -> Result<()> {
        let mut command = self.command(words);
        let what = format!("{} {}", self.name(), words[0]);
        let status = if log::is_quiet() {
            let (mut reader, writer) = std::io::pipe()?;
            command.stderr(writer.try_clone()?).stdout(writer);
            let reading = std::thread::spawn(move || {
                let mut text = Vec::new();
                reader.read_to_end(&mut text).map(|_| text)
            });
            let status = client::run(command, limit, &what)?;
            if !status.success() {
                let text = reading.join().ok().and_then(Result::ok).unwrap_or_default();
                std::io::Write::write_all(&mut std::io::stderr(), &text)?;
            }
            status
        } else {
            command.stdout(std::io::stderr().as_fd().try_clone_to_owned()?);
            client::run(command, limit, &what)?
        };
        if !status.success() {
            bail!("{} {} failed ({status})", self.name(), words.join(" "));
        }
        Ok(())
    }

    /// The last line that a service has logged.
    pub fn last_line(&self, service: &str) -> String {
        let mut command = self.command(&["logs", "--no-color", "--tail=1", service]);
        command.stderr(Stdio::null());
        let text = client::text(command, LOG, "logs").unwrap_or_default();
        text.lines().next_back().unwrap_or("it wrote nothing").to_owned()
    }
}

fn is_on_path(program: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let is_program = |dir: PathBuf| {
        let meta = dir.join(program).metadata();
        meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(is_program)
}

/// The image that a service has, in what Compose prints of its configuration.
fn image(text: &str, service: &str) -> Option<Option<String>> {
    let documents = Yaml::load_from_str(text).ok()?;
    let services = documents.first()?.as_mapping_get("services")?;
    services.as_mapping()?;
    let image = services.as_mapping_get(service).and_then(|it| it.as_mapping_get("image"));
    Some(image.and_then(|image| image.as_str()).map(str::to_owned))
}

/// The services with a count of containers, in what Compose prints of its configuration.
fn scaled(text: &str) -> Option<BTreeSet<String>> {
    let documents = Yaml::load_from_str(text).ok()?;
    let services = documents.first()?.as_mapping_get("services")?.as_mapping()?;
    let is_scaled = |service: &Yaml| {
        let deploy = service.as_mapping_get("deploy");
        service.contains_mapping_key("scale")
            || deploy.is_some_and(|deploy| deploy.contains_mapping_key("replicas"))
    };
    let scaled = services.iter().filter(|(_, service)| is_scaled(service));
    Some(scaled.filter_map(|(name, _)| name.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_containers_is_found_where_the_configuration_has_one() {
        let text = "networks:\n  default: {}\nservices:\n  api:\n    deploy:\n      replicas: 2\n\
                    \x20 old:\n    image: x\n    scale: 3\n\
                    \x20 web:\n    environment:\n      scale: '4'\n      replicas: '2'\n\
                    \x20   command:\n    - sh\n    - '  scale: 3'\n\
                    \x20 worker:\n    deploy:\n      resources: {}\n  bare: null\nversion: '3.8'\n";
        let names: Vec<_> = scaled(text).unwrap().into_iter().collect();
        assert_eq!(names, ["api", "old"]);
        for text in ["", "services: [", "a: 1", "services: 3"] {
            assert_eq!(scaled(text), None, "{text}");
            assert_eq!(image(text, "db"), None, "{text}");
        }
    }

    #[test]
    fn an_image_is_that_of_the_service_itself() {
        let text = "services:\n  db:\n    environment:\n      image: other\n    image: postgres:15\n\
                    \x20 built:\n    build:\n      context: /src\n  bare: null\n";
        assert_eq!(image(text, "db"), Some(Some("postgres:15".to_owned())));
        for service in ["built", "bare", "none"] {
            assert_eq!(image(text, service), Some(None), "{service}");
        }
    }
}
