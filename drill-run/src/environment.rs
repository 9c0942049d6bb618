//! A drill has no access to production: nothing that leads there, and no secret, is in its environment or in that of
//! the programs that it starts.

use anyhow::{Context, Result, anyhow};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Returns where the environment holds nothing of the kind; else starts this program again without it, with the same
/// arguments.
///
/// # Errors
/// If it cannot be started.
pub fn ensure_detached() -> Result<()> {
    let names: Vec<OsString> = std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| leads_to_production(&name.to_string_lossy()))
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let own = pipe_kit::own_path().context("finding our own binary")?;
    let mut command = Command::new(&own);
    command.args(std::env::args_os().skip(1));
    for name in &names {
        command.env_remove(name);
    }
    Err(anyhow!(command.exec()).context(format!("starting {}", own.display())))
}

/// Addresses and credentials of database, storage, cache and copies, and whatever is named as a secret.
fn leads_to_production(name: &str) -> bool {
    const BEGINNINGS: [&str; 8] =
        ["PG", "AWS_", "REDIS_", "S3_", "MINIO_", "SMTP_", "SHIP_", "RESTIC_"];
    const WORDS: [&str; 4] = ["PASSWORD", "SECRET", "TOKEN", "CREDENTIAL"];
    // It only names those that are secret: what is sent away is masked by them.
    if name == "PIPRIO_SECRETS" {
        return false;
    }
    name == "READINESS_URLS"
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::leads_to_production;

    #[test]
    fn what_a_drill_needs_stays_and_what_leads_to_production_goes() {
        for name in [
            "PGHOST",
            "PGPASSWORD",
            "PG_SNAP_EXEC",
            "AWS_SECRET_ACCESS_KEY",
            "REDIS_URL",
            "S3_BUCKET",
            "MINIO_ROOT_USER",
            "READINESS_URLS",
            "SMTP_PASSWORD",
            "SHIP_1",
            "SHIP_1_ACCESS_KEY",
            "POSTGRES_PASSWORD_FILE",
        ] {
            assert!(leads_to_production(name), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "PIPRIO_DEPLOY",
            "PIPRIO_RESOLVED",
            "PIPRIO_SECRETS",
            "NOTIFY_PING",
            "PIPE_KIT_PARENT",
            "BACKUP_ROOT",
            "POSTGRES_SERVICE",
            "DRILL_DATA_KEYS",
            "DOCKER_HOST",
        ] {
            assert!(!leads_to_production(name), "{name}");
        }
    }
}
