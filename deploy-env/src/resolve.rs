//! All settings of a deployment, resolved: what each one is, where that comes from, and the
//! environment that the tools read.

use crate::decide::{self, Storage};
use crate::deployment::Deployment;
use crate::driver::Driver;
use crate::endpoint::{self, Endpoint};
use crate::health::LIMITS;
use crate::layers::{Layers, Source};
use crate::secret::{self, Secret};
use crate::settings;
use anyhow::{Context, Result, anyhow};
use pipe_kit::{Stop, warning};

mod addresses;
mod backups;
mod cache;
mod database;
mod notifications;
mod ship;
mod unused;

pub use unused::unused;

/// One line of the report.
#[derive(Debug)]
pub struct Row {
    /// The setting's name.
    pub key: &'static str,
    /// Its value, where it has one.
    pub value: Option<String>,
    /// Whether the value must not be shown.
    pub secret: bool,
    /// Where it comes from.
    pub source: Source,
    /// Why, where it was worked out, or the file that a secret was read from.
    pub reason: Option<String>,
}

/// A deployment's settings.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The report, in the order of the documentation.
    pub rows: Vec<Row>,
    /// The variables that the tools read.
    pub exports: Vec<(&'static str, String)>,
    /// Those of `exports` that stood in the process environment under the same name, and count as
    /// the operator's when settings are resolved again.
    pub given: Vec<&'static str>,
}

/// What was found of a setting that is no secret.
struct Found {
    value: String,
    source: Source,
}

const HTTP: &[(&str, u16)] = &[("http", 80), ("https", 443)];
const REDIS: &[(&str, u16)] = &[("redis", 6379), ("rediss", 6379)];

/// Resolves everything.
///
/// # Errors
/// [`Stop::usage`] for a setting that is wrong or ambiguous; if a secret's file cannot be read or
/// the driver, where needed, does not answer.
pub fn resolve(deployment: &Deployment, layers: &Layers) -> Result<Resolved> {
    let mut out = resolve_only(deployment, layers)?;
    for unused in unused(layers, &out.exports) {
        warning!("{unused}");
    }
    out.rows.sort_by_key(|row| settings::position(row.key));
    Ok(out)
}

/// Resolves everything; [`unused()`] is the caller's to report.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_only(deployment: &Deployment, layers: &Layers) -> Result<Resolved> {
    resolve_with(deployment, layers, None)
}

/// Resolves everything without a driver, as if it named these services.
///
/// # Errors
/// As [`resolve`], except for those of the driver.
pub fn resolve_without_driver(
    deployment: &Deployment,
    layers: &Layers,
    services: Vec<String>,
) -> Result<Resolved> {
    resolve_with(deployment, layers, Some(services))
}

fn resolve_with(
    deployment: &Deployment,
    layers: &Layers,
    assumed: Option<Vec<String>>,
) -> Result<Resolved> {
    let mut resolver = Resolver { deployment, layers, assumed, out: Resolved::default() };
    resolver.all()?;
    Ok(resolver.out)
}

struct Resolver<'a> {
    deployment: &'a Deployment,
    layers: &'a Layers,
    /// The services, where the driver is not asked for them.
    assumed: Option<Vec<String>>,
    out: Resolved,
}

/// Where the object storage's keys come from; the first family that is set counts.
const KEY_FAMILIES: &[(&str, &str)] = &[
    ("S3_ACCESS_KEY", "S3_SECRET_KEY"),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
];

impl Resolver<'_> {
    fn all(&mut self) -> Result<()> {
        self.export("PIPRIO_DEPLOY", self.deployment.path_text(""));
        if let Some(domain) = self.take("PIPRIO_DOMAIN") {
            self.export("PIPRIO_DOMAIN", domain);
        }
        let version = self.required("PIPRIO_VERSION")?;
        self.export("PIPRIO_VERSION", version);
        self.backups()?;
        self.drills()?;
        self.ship()?;
        let name = self.required("SERVICE_DRIVER")?;
        let scripts = self.layers.environment.get("PIPRIO_SCRIPTS").map(String::as_str);
        let units = self.take("SYSTEMD_UNITS");
        let driver = match self.assumed.take() {
            Some(services) => Driver::assumed(self.deployment, services),
            None => Driver::find(self.deployment, &name, scripts)?.with_units(units.as_deref()),
        };
        if let Some(units) = units {
            self.export("SYSTEMD_UNITS", units);
        }
        self.export("PIPRIO_DRIVER", driver.program().to_string_lossy().into_owned());
        let mut named = self.database(&driver)?;
        let mut reached = Vec::new();
        named.extend(self.storage(&driver, &mut reached)?);
        let url = self.required("REDIS_URL")?;
        let cache = endpoint::parse("REDIS_URL", &url, REDIS)?;
        self.cache_files(url.starts_with("rediss:"))?;
        self.export("REDIS_URL", url);
        named.push(cache.host.clone());
        reached.push(cache);
        self.readiness()?;
        for limit in &LIMITS {
            let text = self.required(limit.key)?;
            self.export(limit.key, limit.checked(&text)?);
        }
        self.notifications();
        self.name_secrets();
        self.addresses(&driver, &reached)?;
        self.stateful(&driver, &named)
    }

    fn export(&mut self, name: &'static str, value: String) {
        self.out.exports.push((name, value));
    }

    /// Notes that a variable is the operator's own, if the environment gives it.
    fn given(&mut self, name: &'static str) {
        if self.layers.environment.get(name).is_some_and(|value| !value.is_empty()) {
            self.out.given.push(name);
        }
    }

    fn row(&mut self, key: &'static str, value: Option<String>, source: Source) -> &mut Row {
        let secret = settings::find(key).is_some_and(|s| s.secret);
        self.out.rows.push(Row { key, value, secret, source, reason: None });
        let last = self.out.rows.len() - 1;
        &mut self.out.rows[last]
    }

    fn look(&self, key: &'static str) -> Option<Found> {
        let default = || settings::find(key)?.default.map(|value| (value, Source::Default));
        let (value, source) = self.layers.get(key).or_else(default)?;
        Some(Found { value: value.to_owned(), source })
    }

    /// A setting as given or its default, entered into the report.
    fn take(&mut self, key: &'static str) -> Option<String> {
        let found = self.look(key);
        let source = found.as_ref().map_or(Source::Unset, |f| f.source);
        let value = found.map(|f| f.value);
        self.row(key, value.clone(), source);
        value
    }

    /// A setting that has a default, so has a value.
    fn required(&mut self, key: &'static str) -> Result<String> {
        self.take(key).with_context(|| format!("{key} is not set"))
    }

    /// A secret, entered into the report.
    fn secret(&mut self, key: &'static str) -> Result<Option<Secret>> {
        let found = secret::read(self.deployment, self.layers, key)?;
        let source = found.as_ref().map_or(Source::Unset, |s| s.source);
        let value = found.as_ref().map(|s| s.value.clone());
        let file = found.as_ref().and_then(|s| s.file.as_ref());
        let reason = file.map(|f| format!("read from {}", f.display()));
        self.row(key, value, source).reason = reason;
        Ok(found)
    }

    /// The object storage's variables; gives the host that its endpoint names.
    fn storage(&mut self, driver: &Driver, reached: &mut Vec<Endpoint>) -> Result<Option<String>> {
        let url = self.take("S3_ENDPOINT");
        let end = url.as_deref().map(|u| endpoint::parse("S3_ENDPOINT", u, HTTP)).transpose()?;
        let set = self.look("OBJECT_STORAGE");
        let host = end.as_ref().map(|e| e.host.clone());
        let (storage, reason) = decide::decide_object_storage(
            set.as_ref().map(|s| s.value.as_str()),
            host.as_deref(),
            || driver.services().map(<[String]>::to_vec),
        )?;
        let source = set.map_or(Source::Detected, |s| s.source);
        let row = self.row("OBJECT_STORAGE", Some(storage.name().into()), source);
        row.reason = Some(reason.clone());
        self.export("OBJECT_STORAGE", storage.name().into());
        self.export("OBJECT_STORAGE_REASON", reason);
        let region = self.required("S3_REGION")?;
        self.export("AWS_REGION", region);
        match self.take("S3_BUCKET").filter(|bucket| !bucket.is_empty()) {
            Some(bucket) => self.export("S3_BUCKET", bucket),
            None if storage == Storage::Bundled => {
                return Err(Stop::usage(
                    "S3_BUCKET is not set, but the object storage is bundled; set it in .env",
                )
                .into());
            }
            None => {}
        }
        self.path_style(url.is_some())?;
        if let Some(url) = url {
            self.export("AWS_ENDPOINT_URL", url);
        }
        if let Some(bundle) = self.take("AWS_CA_BUNDLE") {
            self.export("AWS_CA_BUNDLE", self.deployment.path_text(&bundle));
            self.given("AWS_CA_BUNDLE");
        }
        self.keys()?;
        if storage == Storage::Bundled {
            reached.extend(end);
            self.bypass_proxies(host.as_deref());
        }
        Ok(host)
    }

    /// A proxy of the operator is not used between a deployment and its own storage.
    fn bypass_proxies(&mut self, host: Option<&str>) {
        for name in ["NO_PROXY", "no_proxy"] {
            let listed = self.layers.environment.get(name).cloned().unwrap_or_default();
            let all: Vec<&str> =
                listed.split(',').chain(host).map(str::trim).filter(|h| !h.is_empty()).collect();
            self.export(name, all.join(","));
        }
    }

    fn path_style(&mut self, custom_endpoint: bool) -> Result<()> {
        let set = self.look("S3_FORCE_PATH_STYLE");
        let text = match &set {
            Some(set) => settings::yes_or_no("S3_FORCE_PATH_STYLE", &set.value)?,
            None if custom_endpoint => "yes",
            None => "no",
        };
        let source = set.map_or(Source::Default, |s| s.source);
        self.row("S3_FORCE_PATH_STYLE", Some(text.into()), source);
        self.export("S3_FORCE_PATH_STYLE", text.into());
        Ok(())
    }

    /// The keys, both of one family, and the session's token that belongs to them.
    fn keys(&mut self) -> Result<()> {
        for (id, key) in KEY_FAMILIES {
            match (self.key_secret(id)?, self.key_secret(key)?) {
                (Some(user), Some(password)) => {
                    self.enter_key(id, &user);
                    self.enter_key(key, &password);
                    self.export("AWS_ACCESS_KEY_ID", user.value);
                    self.export("AWS_SECRET_ACCESS_KEY", password.value);
                    if *id == "AWS_ACCESS_KEY_ID" {
                        self.given("AWS_ACCESS_KEY_ID");
                        self.given("AWS_SECRET_ACCESS_KEY");
                    }
                    self.session_token(user.source);
                    return Ok(());
                }
                (None, None) => {}
                (Some(_), None) => return Err(half_a_pair(id, key)),
                (None, Some(_)) => return Err(half_a_pair(key, id)),
            }
        }
        Ok(())
    }

    fn key_secret(&self, key: &str) -> Result<Option<Secret>> {
        secret::read(self.deployment, self.layers, key)
    }

    fn enter_key(&mut self, key: &'static str, secret: &Secret) {
        let reason = secret.file.as_ref().map(|f| format!("read from {}", f.display()));
        self.row(key, Some(secret.value.clone()), secret.source).reason = reason;
    }

    /// A token that happens to be in the environment does not belong to keys of the `.env`.
    fn session_token(&mut self, keys: Source) {
        let found = self.layers.get("AWS_SESSION_TOKEN");
        let token = match found {
            Some((_, Source::Environment)) if keys != Source::Environment => {
                let value = self.layers.file.get("AWS_SESSION_TOKEN").filter(|v| !v.is_empty());
                value.map(|value| (value.as_str(), Source::File))
            }
            found => found,
        };
        if let Some((value, source)) = token.map(|(v, s)| (v.to_owned(), s)) {
            self.row("AWS_SESSION_TOKEN", Some(value.clone()), source);
            self.export("AWS_SESSION_TOKEN", value);
            if source == Source::Environment {
                self.given("AWS_SESSION_TOKEN");
            }
        }
    }

    fn readiness(&mut self) -> Result<()> {
        let Some(urls) = self.take("READINESS_URLS") else { return Ok(()) };
        let pairs: Vec<&str> = urls.split_whitespace().collect();
        for pair in &pairs {
            let (service, url) = pair
                .split_once('=')
                .filter(|(service, _)| !service.is_empty() && !service.contains(['/', ':']))
                .ok_or_else(|| {
                    anyhow!(Stop::usage(
                        "READINESS_URLS is not of the form SERVICE=URL SERVICE=URL"
                    ))
                })?;
            endpoint::parse(&format!("READINESS_URLS: {service}"), url, HTTP)?;
        }
        let text = pairs.join(" ");
        self.export("READINESS_URLS", text);
        Ok(())
    }

    fn stateful(&mut self, driver: &Driver, named: &[String]) -> Result<()> {
        let found = self.look("STATEFUL_SERVICES").context("STATEFUL_SERVICES is not set")?;
        let union = decide::stateful_union(&found.value, named, driver.known_services()).join(" ");
        let row = self.row("STATEFUL_SERVICES", Some(union.clone()), found.source);
        row.reason = Some("with the services that other settings name".into());
        self.export("STATEFUL_SERVICES", union);
        Ok(())
    }
}

fn half_a_pair(set: &str, missing: &str) -> anyhow::Error {
    anyhow!(Stop::usage(format!("{set} is set but {missing} is not: both are needed")))
}
