//! Deployments in containers, gone when dropped.

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use test_kit::deployment::{Run, clean, run, sh};
use test_kit::process::wait_until;
use test_kit::product::http::{self, Answer};
use test_kit::tools::{bin_dir, workspace, write_private};

/// `PIPRIO_DOMAIN` of the deployment.
pub const DOMAIN: &str = "piprio.example.com";
/// A plain text of the encrypted column.
pub const CREDENTIAL: &str = "sftp-pass-42";

/// The image that `scripts/test-compose.sh` has built; without it, prints that the test is skipped.
pub fn image() -> Option<String> {
    let image = std::env::var("PIPRIO_TEST_COMPOSE_IMAGE").ok().filter(|name| !name.is_empty());
    if image.is_none() {
        test_kit::skipped!("no container engine was given; scripts/test-compose.sh has one");
    }
    image
}

/// Every Compose there is, as a value for `PATH` with which the driver uses that one. The driver's
/// program is on it too.
pub fn composes() -> Vec<(&'static str, String)> {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{path}:{}", bin_dir().unwrap().display());
    let works = |program: &str, words: &[&str]| {
        Command::new(program).args(words).output().is_ok_and(|out| out.status.success())
    };
    let mut found = Vec::new();
    if works("docker", &["compose", "version"]) {
        found.push(("docker compose", path.clone()));
    }
    if works("docker-compose", &["version"]) {
        let dir = workspace().join("tests/compose/without-plugin");
        found.push(("docker-compose", format!("{}:{path}", dir.display())));
    }
    assert!(!found.is_empty(), "there is an engine and no Compose");
    found
}

/// Directories of deployments; what they run and keep goes with this value.
pub struct Host {
    root: TempDir,
    pub path: String,
}

impl Host {
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("compose-").tempdir().unwrap();
        Self { root, path: composes().remove(0).1 }
    }

    pub fn dir(&self) -> &Path {
        self.root.path()
    }

    /// Whether Compose is a plugin of the engine's client here.
    pub fn has_plugin(&self) -> bool {
        composes().into_iter().any(|(name, path)| name == "docker compose" && path == self.path)
    }

    /// A directory with a Compose file.
    pub fn deploy(&self, name: &str, yaml: &str) -> Deploy<'_> {
        let dir = self.dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("docker-compose.yml"), yaml).unwrap();
        Deploy { host: self, dir }
    }

    /// With the customer's deployment in `deploy`, up and filled; none where the test is skipped.
    pub fn with_product() -> Result<Option<Self>> {
        if image().is_none() {
            return Ok(None);
        }
        let host = Self::new();
        let deploy = Deploy::product(&host, "deploy")?;
        deploy.up()?;
        deploy.fill()?;
        Ok(Some(host))
    }

    /// A deployment whose directory is there.
    pub fn existing(&self, name: &str) -> Deploy<'_> {
        Deploy { host: self, dir: self.dir().join(name) }
    }

    /// A command with this host's Compose, in an environment as bare as cron's.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = clean(program.as_ref());
        command.env("PATH", &self.path).current_dir(self.dir());
        command
    }

    /// A line of a shell, typed in the host's directory, with answers on stdin.
    pub fn typed(&self, line: &str, answers: &str) -> Result<Run> {
        let mut command = self.command("bash");
        command.args(["-c", line]);
        run(command, answers)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What is just being restarted when it is removed can leave its network in use for ever.
        let script = "
            docker ps -aq --filter label=piprio.test=compose | xargs -r docker update --restart=no
            docker ps -aq --filter label=piprio.test=compose | xargs -r docker rm -fv
            docker volume ls -q --filter label=piprio.test=compose | xargs -r docker volume rm
            docker network ls -q --filter label=piprio.test=compose | xargs -r docker network rm";
        if let Err(error) = sh(self.dir(), script) {
            eprintln!("taking down: {error:#}");
        }
    }
}

/// A deployment's directory on a host.
pub struct Deploy<'a> {
    pub host: &'a Host,
    pub dir: PathBuf,
}

impl<'a> Deploy<'a> {
    /// The customer's deployment, with the toolkit installed and nothing running.
    pub fn product(host: &'a Host, name: &str) -> Result<Self> {
        let deploy = Self::bare(host, name)?;
        let env = std::fs::read_to_string(workspace().join("tests/compose/env"))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let image = image().context("an image")?;
        let env = env
            .replace("PIPRIO_IMAGE=\n", &format!("PIPRIO_IMAGE={image}\n"))
            .replace("WEB_PORT=\n", &format!("WEB_PORT={port}\n"))
            .replace("REDIS_PASSWORD=\n", &format!("REDIS_PASSWORD={}\n", random()));
        write_private(&deploy.dir.join(".env"), env.as_bytes())?;
        sh(&deploy.dir, "mkdir -m 700 secrets && mkdir certs")?;
        for name in ["postgres_password", "s3_access_key", "s3_secret_key"] {
            write_private(&deploy.file(&format!("secrets/{name}")), random().as_bytes())?;
        }
        let key: Vec<u8> = (0..32).map(|_| fastrand::u8(..)).collect();
        write_private(&deploy.file("secrets/credential_encryption_key"), &key)?;
        deploy.certificates()?;
        Ok(deploy)
    }

    /// A directory with the customer's Compose file and the toolkit alone.
    pub fn bare(host: &'a Host, name: &str) -> Result<Self> {
        let yaml = std::fs::read_to_string(workspace().join("tests/compose/docker-compose.yml"))?;
        let deploy = host.deploy(name, &yaml);
        let mut install = host.command("bash");
        install.arg(workspace().join("scripts/install.sh"));
        install.arg("--from").arg(bin_dir()?).arg(&deploy.dir);
        run(install, "")?.expect(0);
        Ok(deploy)
    }

    fn certificates(&self) -> Result<()> {
        let mut params = CertificateParams::new([])?;
        params.distinguished_name.push(DnType::CommonName, "the deployment's own authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(["minio".to_owned()])?.signed_by(&key, &authority)?;
        std::fs::write(self.file("certs/ca.crt"), authority.pem())?;
        std::fs::write(self.file("certs/tls.crt"), certificate.pem())?;
        write_private(&self.file("certs/tls.key"), key.serialize_pem().as_bytes())
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Adds lines to `.env`.
    pub fn set(&self, lines: &str) -> Result<()> {
        let env = std::fs::read_to_string(self.file(".env")).unwrap_or_default();
        Ok(std::fs::write(self.file(".env"), format!("{env}{lines}\n"))?)
    }

    /// A program of the deployment's `scripts/`.
    pub fn script(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = self.host.command("bash");
        command.arg(self.dir.join("scripts").join(name)).args(arguments);
        command
    }

    /// Runs such a program, with answers on stdin.
    pub fn run(&self, name: &str, arguments: &[&str], answers: &str) -> Result<Run> {
        run(self.script(name, arguments), answers)
    }

    /// The driver, of this source.
    pub fn driver_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.command(workspace().join("scripts/drivers/compose"));
        command.args(arguments).env("PIPRIO_DEPLOY", &self.dir);
        command
    }

    /// Runs the driver.
    pub fn driver(&self, arguments: &[&str]) -> Run {
        run(self.driver_command(arguments), "").unwrap()
    }

    /// What the driver's `ps` prints, a line a service.
    pub fn ps(&self) -> String {
        self.driver(&["ps"]).expect(0).stdout.replace('\t', " ")
    }

    /// `docker compose ARGS…`, or `docker-compose`, whichever this host has.
    pub fn compose(&self, line: &str) -> Result<String> {
        let program = if self.host.has_plugin() { "docker compose" } else { "docker-compose" };
        let line = format!("{program} {line}");
        let mut command = self.host.command("bash");
        command.args(["-c", &line]).current_dir(&self.dir);
        Ok(run(command, "")?.expect(0).stdout)
    }

    /// The containers of a service.
    pub fn containers(&self, service: &str) -> Result<Vec<String>> {
        let dir = self.dir.canonicalize()?;
        let ids = sh(
            &self.dir,
            &format!(
                "docker ps -aq --no-trunc --filter 'label=com.docker.compose.project.working_dir={}' \
                 --filter label=com.docker.compose.service={service}",
                dir.display()
            ),
        )?;
        Ok(ids.lines().map(str::to_owned).collect())
    }

    /// The only container of a service.
    pub fn container(&self, service: &str) -> Result<String> {
        let mut ids = self.containers(service)?;
        ensure!(ids.len() == 1, "{service} has {} containers", ids.len());
        Ok(ids.remove(0))
    }

    /// Every container with when it was started, a line each.
    pub fn started(&self, services: &[&str]) -> Result<String> {
        let mut text = String::new();
        for service in services {
            let id = self.container(service)?;
            let ask = format!("docker inspect -f '{{{{.Id}}}} {{{{.State.StartedAt}}}}' {id}");
            text += &sh(&self.dir, &ask)?;
        }
        Ok(text)
    }

    /// Starts everything, as the product's installation does, and waits until the web answers.
    pub fn up(&self) -> Result<()> {
        self.compose("up -d")?;
        self.wait_until_ready()
    }

    pub fn wait_until_ready(&self) -> Result<()> {
        wait_until("the deployment", || {
            Ok(self.ask("GET", "/ready", "").is_ok_and(|answer| answer.status == 200)
                && !self.ps().contains("unhealthy"))
        })
    }

    /// Asks the application, through its published port.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let env = std::fs::read_to_string(self.file(".env"))?;
        let port = env.lines().filter_map(|line| line.strip_prefix("WEB_PORT=")).next_back();
        let url = format!("http://127.0.0.1:{}{path}", port.context("WEB_PORT")?);
        http::ask(method, &url, body.as_bytes())
    }

    /// What the application answers with success.
    pub fn report(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let answer = self.ask(method, path, body)?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status < 300, "{method} {path} is answered {}: {text}", answer.status);
        Ok(text)
    }

    /// Documents and a credential, and no job left in the queue.
    pub fn fill(&self) -> Result<()> {
        for n in 0..12 {
            let body = format!("document {n} {}", random().repeat(n));
            // The application waits two seconds for its database, which a busy machine may take.
            wait_until("the application to store a document", || {
                Ok(self.report("POST", "/documents", &body).is_ok())
            })?;
        }
        self.report("PUT", "/credentials/sftp", CREDENTIAL)?;
        self.wait_for_the_worker()
    }

    /// Waits until no job is left in the queue.
    pub fn wait_for_the_worker(&self) -> Result<()> {
        wait_until("the worker", || Ok(!self.report("GET", "/documents", "")?.contains("queued")))
    }

    /// All that the application has: rows, and each document's object, read through it.
    pub fn state(&self) -> Result<String> {
        let mut text = self.report("GET", "/documents", "")?;
        for line in text.clone().lines() {
            let id = line.split(' ').next().unwrap_or_default();
            text += &format!("\n{id} {}", self.report("GET", &format!("/documents/{id}"), "")?);
        }
        Ok(text + "\n" + &self.report("GET", "/credentials/sftp", "")?)
    }

    /// One of the toolkit's stages, with the deployment's settings.
    pub fn stage(&self, words: &[&str]) -> Result<Run> {
        let mut command = self.host.command(self.file("bin/deploy-env"));
        command.arg("--").args(words);
        run(command, "")
    }

    /// Runs SQL where the database runs.
    pub fn psql(&self, sql: &str) -> Result<String> {
        let mut command = self.host.command(self.file("bin/deploy-env"));
        let psql = "eval \"$PG_SNAP_EXEC psql -X -q -A -t -v ON_ERROR_STOP=1\"";
        command.args(["--", "sh", "-c", psql]);
        Ok(run(command, sql)?.expect(0).stdout)
    }

    /// Runs a command of the cache.
    pub fn redis(&self, words: &str) -> String {
        let line = format!("REDISCLI_AUTH=$REDIS_PASSWORD redis-cli {words}");
        self.driver(&["exec", "redis", "sh", "-c", &line]).expect(0).stdout
    }

    /// Runs `backup.sh` and gives the bundle.
    pub fn backup(&self) -> Result<PathBuf> {
        let out = self.run("backup.sh", &[], "")?.expect(0).stdout;
        Ok(PathBuf::from(out.lines().next().context("a bundle")?))
    }
}

/// A text nobody can guess.
pub fn random() -> String {
    format!("{:032x}", fastrand::u128(..))
}
