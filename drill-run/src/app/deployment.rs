//! The deployment of a drill: the bundle's configuration with secrets of its own, and the deployment's
//! services on an isolated network.

use super::endpoints::{Changes, EXTERNAL, Resolved, Services, Settings, require_services};
use super::notes::Notes;
use super::program::Program;
use super::project::DEPLOY;
use anyhow::{Context, Result};
use bundle_format::layout;
use pipe_kit::{Stop, info};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::net::ToSocketAddrs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The only Compose file of the drill, which the driver writes.
const COMPOSE_FILE: &str = "compose.drill.yml";
/// Variables that are the deployment's alone: whom it notifies, where it ships to, how it drills, and
/// libpq's service file, which may name any host.
const UNSET: [&str; 10] = [
    "COMPOSE_PATH_SEPARATOR",
    "DRILL_*",
    "METRICS_*",
    "NOTIFY_*",
    "PGSERVICE",
    "PGSERVICEFILE",
    "POSTGRES_PGSERVICE",
    "POSTGRES_PGSERVICEFILE",
    "SHIP_*",
    "SYSTEMD_UNITS",
];
/// The health check is about the services: not about this host's disk, its load, or the deployment's
/// bundles.
const HEALTH: [(&str, &str); 5] = [
    ("HEALTH_MAX_BUNDLE_AGE_HOURS", "0"),
    ("HEALTH_MAX_DRILL_AGE_DAYS", "0"),
    ("HEALTH_MAX_LATENCY_MS", "3600000"),
    ("HEALTH_MIN_FREE_MIB", "0"),
    ("HEALTH_TIMEOUT_SECONDS", "30"),
];

/// What a drill's deployment is made of.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// The deployment whose services they are.
    pub from: &'a Path,
    /// The bundle's directory.
    pub bundle: &'a Path,
    /// An empty directory that nobody else may enter. It is empty again afterwards.
    pub dir: &'a Path,
    /// The name of the Compose project: `piprio-drill-…`.
    pub project: &'a str,
    /// `DRILL_DATA_KEYS`: variables, and files below `secrets/`, that the restored data needs.
    pub data_keys: &'a [String],
    /// Services that are left out.
    pub skip: &'a [String],
    /// The service driver's program.
    pub driver: &'a Path,
    /// Bytes of the database and of the objects, which its volumes will take.
    pub bytes: u64,
}

impl Plan<'_> {
    /// Its directory.
    pub(super) fn deploy(&self) -> PathBuf {
        self.dir.join(DEPLOY)
    }

    /// Its root of bundles, which has none.
    fn root(&self) -> PathBuf {
        self.deploy().join("backups")
    }

    pub(super) fn extract(&self) -> Program {
        let tool =
            Program::new("cfg-pack").args(["extract", "--quiet", "--root"]).args([self.deploy()]);
        let tool = tool.args([".env", "--optional", "secrets", "--optional", "certs"]);
        tool.input(&self.bundle.join(layout::CONFIG))
    }

    pub(super) fn replace_secrets(&self) -> Program {
        let mut tool = Program::new("deploy-env").args(["replace-secrets"]).args([self.deploy()]);
        for name in self.data_keys {
            tool = tool.args(["--keep", name]);
        }
        for name in UNSET {
            tool = tool.args(["--unset", name]);
        }
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let own = [
            ("COMPOSE_PROJECT_NAME", self.project.to_owned()),
            ("COMPOSE_FILE", COMPOSE_FILE.to_owned()),
            ("SERVICE_DRIVER", text(self.driver)),
            ("BACKUP_ROOT", text(&self.root())),
        ];
        let health = HEALTH.map(|(name, value)| (name, value.to_owned()));
        for (name, value) in own.into_iter().chain(health) {
            tool = tool.args(["--set".to_owned(), format!("{name}={value}")]);
        }
        tool
    }

    pub(super) fn isolate(&self) -> Program {
        let mut tool = self.driver().of_deployment().args(["isolate", "--from"]).args([self.from]);
        for name in self.skip {
            tool = tool.args(["--skip", name]);
        }
        tool.args(["--room".to_owned(), self.bytes.to_string()])
    }

    /// The driver, for the drill's deployment.
    pub(super) fn driver(&self) -> Program {
        Program::new(self.driver).variable("PIPRIO_DEPLOY", self.deploy())
    }

    /// A program with the drill's settings.
    pub(super) fn resolved(&self) -> Program {
        Program::new("deploy-env").args(["--deploy"]).args([self.deploy()]).args(["--afresh", "--"])
    }

    /// A setting of the drill.
    fn setting(&self, name: &str) -> Result<String> {
        let tool = Program::new("deploy-env").args(["get", name, "--reveal", "--deploy"]);
        Ok(tool.args([self.deploy()]).capture()?.trim_end_matches('\n').to_owned())
    }

    /// The domain, which confirms a restore.
    pub(super) fn domain(&self) -> Result<String> {
        self.setting("PIPRIO_DOMAIN")
    }
}

/// A deployment that was made.
#[derive(Debug, Default)]
pub struct Deployment {
    pub notes: Notes,
    /// Its services.
    pub services: BTreeSet<String>,
    /// Names of secrets that were replaced.
    pub replaced: Vec<String>,
    /// Names of those that were not, each with the reason.
    pub kept: Vec<(String, String)>,
    /// Readiness URLs that lead elsewhere.
    pub dropped_urls: Vec<String>,
    /// Whether its objects are kept by others, and are in no bundle.
    pub has_external_storage: bool,
}

impl Deployment {
    /// Makes it. Nothing of it runs yet.
    ///
    /// # Errors
    /// [`Stop::usage`] where the driver knows no drills; [`Stop::refused`] where the bundle or the deployment
    /// is not one that can be restored apart.
    pub fn make(plan: &Plan<'_>) -> Result<Self> {
        let archive = plan.bundle.join(layout::CONFIG);
        if !archive.is_file() {
            return Err(Stop::refused(format!(
                "{} is missing: without the configuration, no service starts; use --level data",
                archive.display()
            ))
            .into());
        }
        make_dir(&plan.deploy())?;
        plan.extract().capture().context("extracting the config archive")?;
        let mut deployment = Self::default();
        deployment.read_secrets(&plan.replace_secrets().capture()?);
        make_dir(&plan.root())?;
        info!("isolating the services of {} as {}", plan.from.display(), plan.project);
        let printed = plan.isolate().capture().context(
            "the services cannot be started apart from the deployment's own; use --level data",
        )?;
        deployment.notes = Notes::parse(&printed)?;
        let listed = plan.driver().args(["ps"]).capture()?;
        let names = listed.lines().filter_map(|line| line.split('\t').next());
        deployment.services = names.map(str::to_owned).collect();
        deployment.point_at_services(plan)?;
        deployment.require_services(plan)?;
        Ok(deployment)
    }

    fn read_secrets(&mut self, report: &str) {
        for line in report.lines() {
            match line.splitn(3, '\t').collect::<Vec<_>>().as_slice() {
                ["replaced", name, ..] => self.replaced.push((*name).to_owned()),
                ["kept", name, reason] => {
                    self.kept.push(((*name).to_owned(), (*reason).to_owned()));
                }
                _ => {}
            }
        }
    }

    fn point_at_services(&mut self, plan: &Plan<'_>) -> Result<()> {
        let settings = Settings {
            postgres_host: plan.setting("POSTGRES_HOST")?,
            postgres_port: plan.setting("POSTGRES_PORT")?,
            s3_endpoint: plan.setting("S3_ENDPOINT")?,
            redis_url: plan.setting("REDIS_URL")?,
            readiness_urls: plan.setting("READINESS_URLS")?,
        };
        let services = Services { names: &self.services, ports: &self.notes.ports };
        let Changes { settings, dropped_urls } = services.changes(&settings)?;
        self.dropped_urls = dropped_urls;
        append(&plan.deploy().join(".env"), &settings)
    }

    /// Whatever the `.env` means, by the words of the program that the restore asks.
    fn require_services(&mut self, plan: &Plan<'_>) -> Result<()> {
        const NAMES: [&str; 7] = [
            "PG_SNAP_EXEC",
            "PGHOST",
            "PGHOSTADDR",
            "PGSERVICEFILE",
            "AWS_ENDPOINT_URL",
            "OBJECT_STORAGE",
            "REDIS_URL",
        ];
        let script = NAMES.map(|name| format!("printf '%s\\n' \"${name}\"")).join("; ");
        let printed = plan.resolved().args(["sh", "-c", &script]).capture()?;
        let mut values = printed.lines().map(str::to_owned);
        let mut next = || values.next().unwrap_or_default();
        let resolved = Resolved {
            exec: next(),
            postgres_host: next(),
            postgres_address: next(),
            postgres_service_file: next(),
            s3_endpoint: next(),
            object_storage: next(),
            redis_url: next(),
        };
        let resolves_here = |host: &str| (host, 0).to_socket_addrs().is_ok();
        require_services(&resolved, &self.services, &resolves_here)?;
        self.has_external_storage = resolved.object_storage == EXTERNAL;
        Ok(())
    }
}

/// A directory that nobody else can enter.
///
/// # Errors
/// If it cannot be made.
pub fn make_dir(dir: &Path) -> Result<()> {
    let made = DirBuilder::new().mode(0o700).create(dir);
    made.with_context(|| format!("creating {}", dir.display()))
}

/// Adds lines at the end of an `.env`, where they count. The values are hosts, ports and URLs.
fn append(path: &Path, settings: &[(&str, String)]) -> Result<()> {
    let mut text = String::new();
    for (name, value) in settings {
        if value.contains(['\'', '\\', '\n']) {
            return Err(Stop::refused(format!("{name} has a quote or a backslash in it")).into());
        }
        text += &format!("{name}='{value}'\n");
    }
    let file = OpenOptions::new().append(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_added_as_every_reader_takes_them() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "A=b\n").unwrap();
        append(file.path(), &[("READINESS_URLS", "a=http://a b=http://b".into())]).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(text, "A=b\nREADINESS_URLS='a=http://a b=http://b'\n");
        assert!(append(file.path(), &[("A", "it's".into())]).is_err());
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), text);
    }

    #[test]
    fn the_report_of_secrets_names_each_of_them() {
        let mut deployment = Deployment::default();
        deployment.read_secrets("replaced\tA\nkept\tsecrets/k\tdata-key\nreplaced\tsecrets/b\n");
        assert_eq!(deployment.replaced, ["A", "secrets/b"]);
        assert_eq!(deployment.kept, [("secrets/k".to_owned(), "data-key".to_owned())]);
    }
}
