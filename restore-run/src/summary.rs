//! What the operator reads before confirming: the bundle, what will be destroyed, and every difference between
//! the two that may mean a wrong bundle or a wrong host.

use crate::bundle::Bundle;
use crate::options::{Choices, ConfigChoice};
use crate::settings::Settings;
use crate::{database, storage};
use anyhow::Result;
use bundle_format::report::{BucketStatus, DatabaseStatus};
use chrono::{DateTime, TimeDelta, Utc};
use pipe_kit::text::size;
use std::collections::BTreeSet;
use std::fmt::Write;

/// What the summary shows.
pub struct Summary {
    pub database: Result<DatabaseStatus>,
    /// None where the bucket is not touched.
    pub bucket: Option<Result<BucketStatus>>,
    /// The settings of database, storage, cache and domain that differ in the bundle's `.env`.
    pub changed_settings: Result<BTreeSet<String>>,
}

impl Summary {
    /// Asks the servers and compares the settings. A server that does not answer is shown as such; the preflight
    /// refuses.
    pub fn gather(bundle: &Bundle, settings: &Settings) -> Self {
        let diff = settings
            .tool("cfg-pack")
            .args(["diff", "--quiet", "--root"])
            .arg(&settings.deploy)
            .arg(".env")
            .input(&bundle.config())
            .capture();
        Self {
            database: database::status(settings),
            bucket: (settings.bundled_storage && bundle.mirror().is_some())
                .then(|| storage::status(settings)),
            changed_settings: diff.map(|diff| changed_settings(&diff)),
        }
    }

    /// As text for the operator.
    pub fn to_text(
        &self,
        bundle: &Bundle,
        settings: &Settings,
        choices: Choices,
        now: DateTime<Utc>,
    ) -> String {
        let mut text = format!("Bundle {}\n\n", bundle.dir.display());
        for line in bundle.manifest_text().lines() {
            let _ = writeln!(text, "    {line}");
        }
        let _ = writeln!(
            text,
            "\nThis bundle was made {}.\n\nWhat will be destroyed and replaced by it:\n",
            age(bundle.value("Timestamp"), now)
        );
        let domain = settings.domain.as_deref().unwrap_or("PIPRIO_DOMAIN is not set");
        let _ = writeln!(
            text,
            "    Deployment  {} (domain {domain}, version {})",
            settings.deploy.display(),
            settings.version
        );
        let _ = writeln!(text, "    Database    {}", self.database_line(settings));
        let _ = writeln!(text, "    Objects     {}", self.bucket_line(bundle, settings));
        let _ = writeln!(
            text,
            "    Cache       {}: emptied, jobs queued in it are lost",
            settings.redis_without_password()
        );
        let _ = writeln!(text, "    Config      {}", config_line(choices));
        for warning in self.warnings(bundle, settings, choices) {
            let _ = writeln!(text, "\nWARNING: {warning}");
        }
        text
    }

    fn database_line(&self, settings: &Settings) -> String {
        let name = format!("{} at {}", settings.database, settings.database_at);
        match &self.database {
            Ok(status) if !status.exists => format!("{name}: does not exist, will be created"),
            Ok(DatabaseStatus { unopened: Some(why), .. }) => {
                format!("{name}: CANNOT BE OPENED, and is replaced: {why}")
            }
            Ok(status) => format!(
                "{name}: {}, {} schemas ({})",
                size(status.size_bytes.unwrap_or(0)),
                status.schemas.len(),
                shortened(&status.schemas)
            ),
            Err(error) => format!("{name}: DOES NOT ANSWER: {error:#}"),
        }
    }

    fn bucket_line(&self, bundle: &Bundle, settings: &Settings) -> String {
        let name = settings.bucket.as_deref().unwrap_or("(S3_BUCKET is not set)");
        let name = format!("bucket {name} at {}", settings.s3_endpoint);
        match &self.bucket {
            Some(Ok(status)) if !status.exists => {
                format!("{name}: does not exist, will be created")
            }
            Some(Ok(status)) => {
                format!("{name}: {} objects, {}", status.objects, size(status.bytes))
            }
            Some(Err(error)) => format!("{name}: DOES NOT ANSWER: {error:#}"),
            None => format!("not touched: {}", why_no_objects(bundle, settings)),
        }
    }

    fn warnings(&self, bundle: &Bundle, settings: &Settings, choices: Choices) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut differs = |key: &str, here: &str| {
            let there = bundle.value(key).unwrap_or("unknown");
            if there != here && there != "unknown" {
                warnings.push(format!(
                    "the bundle's {} is {there}, this deployment's is {here}",
                    key.to_lowercase()
                ));
            }
        };
        differs("Domain", settings.domain.as_deref().unwrap_or("not set"));
        differs("Version", &settings.version);
        let changed = match &self.changed_settings {
            Ok(changed) => changed,
            Err(error) => {
                warnings
                    .push(format!("the bundle's .env cannot be compared with this one: {error:#}"));
                return warnings;
            }
        };
        for key in changed {
            warnings.push(if choices.force_config {
                format!("--force-config changes {key}; this restore still uses the present value")
            } else {
                format!("{key} differs in the bundle's .env; without --force-config it stays as it is here")
            });
        }
        warnings
    }
}

/// Why the objects step does nothing.
pub fn why_no_objects(bundle: &Bundle, settings: &Settings) -> String {
    if settings.bundled_storage {
        format!("{} has no object-storage mirror", bundle.dir.display())
    } else {
        format!("object storage is external ({})", settings.storage_reason)
    }
}

fn config_line(choices: Choices) -> &'static str {
    match (choices.force_config, choices.config) {
        (true, ConfigChoice::No) => ".env replaced; secrets/ and certs/ untouched",
        (true, ConfigChoice::Yes) => ".env, secrets/ and certs/ replaced",
        (true, ConfigChoice::Ask) => ".env replaced; secrets/ and certs/ only after a second yes",
        (false, ConfigChoice::No) => "untouched",
        (false, ConfigChoice::Yes) => "secrets/ and certs/ replaced; .env untouched",
        (false, ConfigChoice::Ask) => "secrets/ and certs/ only after a second yes; .env untouched",
    }
}

/// The keys that a unified diff of `.env` changes, of those that decide where a restore goes to.
fn changed_settings(diff: &str) -> BTreeSet<String> {
    const WHERE: [&str; 8] =
        ["POSTGRES_", "PG", "S3_", "AWS_", "MINIO_", "REDIS_", "OBJECT_STORAGE", "PIPRIO_DOMAIN"];
    let key = |line: &str| {
        let changed = line.strip_prefix(['+', '-'])?.trim_start();
        let changed = changed.strip_prefix("export ").unwrap_or(changed);
        let (key, _) = changed.split_once(['=', ':'])?;
        let key = key.trim();
        WHERE.iter().any(|start| key.starts_with(start)).then(|| key.to_owned())
    };
    diff.lines().filter_map(key).collect()
}

fn shortened(schemas: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = schemas[..schemas.len().min(SHOWN)].join(" ");
    if schemas.len() > SHOWN { format!("{shown} …") } else { shown }
}

fn age(timestamp: Option<&str>, now: DateTime<Utc>) -> String {
    let made = timestamp.and_then(|t| DateTime::parse_from_rfc3339(t).ok());
    match made.map(|made| now.signed_duration_since(made)) {
        Some(age) if age < TimeDelta::zero() => "in the future, by its manifest".into(),
        Some(age) => format!("{} ago", pipe_kit::text::age(age.num_seconds())),
        None => "at an unknown time".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_decide_where_a_restore_goes_are_named_without_their_values() {
        let diff = "--- .env (now)\n+++ .env (bundle)\n-POSTGRES_HOST=a\n+POSTGRES_HOST=b\n LANG=c\n-LANG=d\n+export REDIS_URL=***\n-PGSSLMODE=a\n";
        let keys: Vec<_> = changed_settings(diff).into_iter().collect();
        assert_eq!(keys, ["PGSSLMODE", "POSTGRES_HOST", "REDIS_URL"]);
    }

    #[test]
    fn ages_are_for_people() {
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let ago = |seconds| age(Some(&(now - TimeDelta::seconds(seconds)).to_rfc3339()), now);
        assert_eq!(ago(90_000), "25 h ago");
        assert_eq!(ago(60), "60 s ago");
        assert_eq!(ago(-60), "in the future, by its manifest");
        assert_eq!(age(Some("soon"), now), "at an unknown time");
    }
}
