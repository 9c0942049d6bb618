//! `check`: whether a `.env` resolves by itself, and the files that it names are there. No driver is asked, and of the
//! process environment only `HOME` and `PATH` count, so that the configuration of a bundle can be checked aside.

use crate::deployment::Deployment;
use crate::endpoint::{self, Place, could_be_a_service, place};
use crate::layers::{Inherited, Layers};
use crate::resolve;
use crate::secret;
use crate::settings;
use anyhow::Result;
use bundle_format::report::{SettingFile, SettingsCheck};
use pipe_kit::{Exit, Stop};
use std::path::Path;

const URLS: [(&str, &[(&str, u16)]); 2] = [
    ("S3_ENDPOINT", &[("http", 80), ("https", 443)]),
    ("REDIS_URL", &[("redis", 6379), ("rediss", 6379)]),
];

/// The only setting of such a name whose file the toolkit writes: it need not be there.
const WRITTEN: &str = "METRICS_FILE";

/// Checks, and prints what was found.
///
/// # Errors
/// [`Stop::refused`] if there is no `.env`; with status 1 if it does not resolve, or a file is missing.
pub fn run(deployment: &Deployment, json: bool) -> Result<Exit> {
    let layers = Layers::read_required(deployment, Inherited::Host)?;
    let check = check(deployment, &layers);
    let text = if json { serde_json::to_string(&check)? + "\n" } else { text(&check) };
    pipe_kit::output::print(&text)?;
    let missing = check.files.iter().filter(|file| file.expected && !file.exists).count();
    match (&check.problem, missing) {
        (None, 0) => Ok(Exit::Done),
        (Some(problem), _) => Err(Stop::with_exit(
            Exit::Failed,
            format!("the settings of {} do not resolve: {problem}", deployment.dotenv().display()),
        )
        .into()),
        (None, _) => anyhow::bail!(
            "{} that {} names {} missing",
            pipe_kit::text::count(missing, "file"),
            deployment.dotenv().display(),
            if missing == 1 { "is" } else { "are" }
        ),
    }
}

fn check(deployment: &Deployment, layers: &Layers) -> SettingsCheck {
    let resolved = resolve::resolve_without_driver(deployment, layers, services(layers));
    let named = layers.get("POSTGRES_DB").map(|(value, _)| value.to_owned());
    let default = || settings::find("POSTGRES_DB").and_then(|s| s.default).unwrap_or_default();
    let database = named.unwrap_or_else(|| default().to_owned());
    let is_read = |key: &str| key.ends_with("_FILE") && key != WRITTEN;
    let files = layers.file.iter().filter(|(key, value)| is_read(key) && !value.is_empty());
    SettingsCheck {
        problem: resolved.err().map(|error| format!("{error:#}")),
        database,
        files: files.map(|(key, value)| file(deployment, key, value)).collect(),
    }
}

/// The names that could be services: whether they are, only a driver knows.
fn services(layers: &Layers) -> Vec<String> {
    let host = |key: &str| layers.get(key).map(|(value, _)| value.to_owned());
    let of_url = |(key, schemes): (&str, &[(&str, u16)])| {
        endpoint::parse(key, &host(key)?, schemes).ok().map(|end| end.host)
    };
    let named = [host("POSTGRES_HOST"), host("POSTGRES_SERVICE")].into_iter();
    named
        .chain(URLS.map(of_url))
        .flatten()
        .filter(|name| could_be_a_service(name) && place(name) == Place::Private)
        .collect()
}

fn file(deployment: &Deployment, setting: &str, value: &str) -> SettingFile {
    let path = secret::locate(deployment, value);
    let inside = path.strip_prefix(deployment.dir()).ok().map(Path::to_owned);
    let is_configuration =
        |path: &Path| ["secrets", "certs"].iter().any(|dir| path.starts_with(dir));
    let expected = settings::is_known(setting) || inside.as_deref().is_some_and(is_configuration);
    SettingFile {
        setting: setting.to_owned(),
        exists: path.is_file(),
        path: inside.as_deref().unwrap_or(&path).to_string_lossy().into_owned(),
        inside: inside.is_some(),
        expected,
    }
}

fn text(check: &SettingsCheck) -> String {
    let line = |file: &SettingFile| {
        let state = match (file.exists, file.expected) {
            (true, _) => "present",
            (false, true) => "missing",
            (false, false) => "not there",
        };
        format!("{state}  {}  {}\n", file.setting, pipe_kit::text::one_line(&file.path))
    };
    check.files.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::layers;

    fn checked(env: &[(&str, &str)], files: &[&str]) -> SettingsCheck {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        check(&Deployment::at(dir.path()).unwrap(), &layers(&[], env))
    }

    #[test]
    fn settings_that_name_services_resolve_without_a_driver() {
        let env = [
            ("POSTGRES_HOST", "postgres"),
            ("POSTGRES_PASSWORD_FILE", "/run/secrets/pw"),
            ("S3_ENDPOINT", "http://minio:9000"),
            ("S3_BUCKET", "documents"),
            ("REDIS_URL", "redis://cache:6379"),
            ("POSTGRES_DB", "product"),
        ];
        let found = checked(&env, &["secrets/pw"]);
        assert_eq!((found.problem, found.database.as_str()), (None, "product"));
        let found = checked(&env, &[]);
        assert!(found.problem.unwrap().contains("POSTGRES_PASSWORD_FILE"));
        let wrong = checked(&[("POSTGRES_PORT", "hunter2")], &[]);
        assert_eq!(wrong.problem.as_deref(), Some("POSTGRES_PORT is not a port"));
    }

    #[test]
    fn files_are_looked_for_in_the_deployment_and_others_are_not_expected() {
        let env = [
            ("SIGNING_KEY_FILE", "/run/secrets/signing"),
            ("TLS_KEY_FILE", "./certs/tls.key"),
            ("LOG_FILE", "/var/log/absent.log"),
            ("STATE_FILE", "run/state"),
            ("METRICS_FILE", "metrics/piprio.prom"),
        ];
        let found = checked(&env, &["certs/tls.key"]).files;
        let shown: Vec<_> = found
            .iter()
            .map(|f| (f.setting.as_str(), f.path.as_str(), f.inside, f.expected, f.exists))
            .collect();
        assert_eq!(
            shown,
            [
                ("LOG_FILE", "/var/log/absent.log", false, false, false),
                ("SIGNING_KEY_FILE", "secrets/signing", true, true, false),
                ("STATE_FILE", "run/state", true, false, false),
                ("TLS_KEY_FILE", "certs/tls.key", true, true, true),
            ]
        );
    }
}
