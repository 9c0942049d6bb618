//! Everything that can be checked before harm. Each failure is a line with its remedy.

use crate::bundle::Bundle;
use crate::settings::Settings;
use crate::summary::{DatabaseStatus, bucket_answers, database_status};
use crate::{cache, services};
use anyhow::Result;
use pipe_kit::Stop;
use rustix::fs::{Access, access};
use std::path::Path;

const TOOLS: [&str; 4] = ["pg-snap", "obj-mirror", "cfg-pack", "health-probe"];

/// Checks, and tells every failure, not only the first.
///
/// # Errors
/// [`Stop::refused`] if there is one.
pub fn check(bundle: &Bundle, settings: &Settings) -> Result<()> {
    let problems = problems(bundle, settings);
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &problems {
        pipe_kit::log::line(format_args!("preflight: {problem}"));
    }
    Err(Stop::refused(format!("{} problem(s), told above, with what to do", problems.len())).into())
}

fn problems(bundle: &Bundle, settings: &Settings) -> Vec<String> {
    let mut problems = Vec::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    for tool in TOOLS {
        if !std::env::split_paths(&path).any(|dir| dir.join(tool).is_file()) {
            problems
                .push(format!("{tool} is not on PATH; run install.sh for this deployment again"));
        }
    }
    match services::list(settings) {
        Ok(services) if services.is_empty() => problems.push(format!(
            "{} ps names no service: what would be stopped and started?",
            settings.driver.display()
        )),
        Ok(_) => {}
        Err(error) => problems.push(format!(
            "the services cannot be listed: {error:#}; try {} ps",
            settings.driver.display()
        )),
    }
    match database_status() {
        Ok(status) => problems.extend(database_problems(bundle, settings, &status)),
        Err(error) => problems.push(format!(
            "the database does not answer: {error:#}; start it, or correct the POSTGRES_ settings"
        )),
    }
    if settings.bundled_storage
        && bundle.mirror().is_some()
        && let Err(error) = bucket_answers(settings)
    {
        problems.push(format!(
            "the object storage does not answer: {error:#}; start it, create the bucket, or correct the S3_ settings"
        ));
    }
    if let Err(error) = cache::ping(settings) {
        problems.push(format!("{error:#}; start it, or correct REDIS_URL"));
    }
    problems.extend(["", "secrets", "certs"].into_iter().filter_map(|name| {
        let dir = settings.deploy.join(name);
        (dir.exists() && !writable(&dir))
            .then(|| format!("{} cannot be written to; mend its owner or mode", dir.display()))
    }));
    problems
}

fn writable(dir: &Path) -> bool {
    access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

fn database_problems(bundle: &Bundle, settings: &Settings, status: &DatabaseStatus) -> Vec<String> {
    let name = &settings.database;
    let mut problems: Vec<String> =
        newer_dump(bundle, &status.server_version).into_iter().collect();
    if !status.may_create {
        problems.push(
            "the database's role may not create databases; as a superuser: ALTER ROLE … CREATEDB"
                .into(),
        );
    }
    if status.is_template {
        problems.push(format!(
            "database {name} is a template, which cannot be dropped; ALTER DATABASE … IS_TEMPLATE false"
        ));
    }
    if status.prepared_transactions > 0 {
        problems.push(format!(
            "database {name} holds {} prepared transaction(s), which keep it from being replaced; \
             COMMIT PREPARED or ROLLBACK PREPARED them (see pg_prepared_xacts)",
            status.prepared_transactions
        ));
    }
    problems
}

fn newer_dump(bundle: &Bundle, server: &str) -> Option<String> {
    let major =
        |version: &str| version.split(['.', ' ', 'b', 'r', 'd']).next()?.parse::<u32>().ok();
    let from = bundle.value("Postgres")?;
    (major(from)? > major(server)?).then(|| {
        format!("the dump is from PostgreSQL {from}, the server is {server}: a dump does not go back to an older major; restore to a server of its major or newer")
    })
}
