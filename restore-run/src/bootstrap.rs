//! `--bootstrap`: a host with only the toolkit and a bundle on it gets its configuration; then the run stops,
//! for the operator to review it.

use crate::bundle::Bundle;
use crate::commands;
use crate::options::Choices;
use crate::prompt::{Answers, confirms};
use crate::restore::take_locks;
use anyhow::{Context, Result};
use bundle_format::report::{PlannedFile, ShownSetting};
use pipe_kit::atomic::AtomicFile;
use pipe_kit::tool::Tool;
use pipe_kit::{Exit, Stop, info, warning};
use std::io::{IsTerminal, Write};
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};

/// The deployment's directory: `$PIPRIO_DEPLOY`, else the parent of this program's directory.
///
/// # Errors
/// [`Stop::usage`] if neither is there.
pub fn deployment() -> Result<PathBuf> {
    let named = std::env::var_os("PIPRIO_DEPLOY").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let beside_us = || Some(pipe_kit::own_path().ok()?.parent()?.parent()?.to_owned());
    let dir = named.or_else(beside_us).filter(|dir| dir.is_dir());
    dir.ok_or_else(|| Stop::usage("no deployment here: name it with PIPRIO_DEPLOY=DIR").into())
}

/// Whether the deployment has settings.
pub fn is_configured(deploy: &Path) -> bool {
    deploy.join(".env").symlink_metadata().is_ok()
}

/// Why a bundle cannot be restored here, and what to do about it.
pub fn refusal(deploy: &Path, bundle: &Path) -> anyhow::Error {
    Stop::refused(format!(
        "{} is missing, so this deployment is not configured; nothing was changed; on a new host, to \
         begin with the configuration of the bundle: {} --bootstrap",
        deploy.join(".env").display(),
        restore(deploy, bundle)
    ))
    .into()
}

fn restore(deploy: &Path, bundle: &Path) -> String {
    commands::restore(deploy, bundle, Choices::default())
}

/// Puts the bundle's configuration in place, after its domain was typed.
///
/// # Errors
/// [`Stop::refused`] if there is a configuration already or the domain is not typed,
/// [`Stop::damaged`] if the bundle is not whole.
pub fn run(deploy: &Path, dir: &Path, confirm: Option<&str>) -> Result<Exit> {
    let bundle = Bundle::open(dir)?;
    let _locks = take_locks(&deploy.join(".restore"), Some(bundle.root()))?;
    let begun = configured(deploy);
    if let Some(name) = begun {
        refuse_another(deploy, &bundle, name)?;
    }
    Tool::new("bundle-manifest").arg("verify").arg(&bundle.dir).run()?;
    if begun.is_some() {
        info!("the files in {} are the bundle's already; the others are added", deploy.display());
    }
    let domain = bundle.value("Domain").filter(|domain| *domain != "unknown").ok_or_else(|| {
        Stop::refused(format!(
            "the manifest of {} names no domain to confirm; nothing was changed; to begin by hand: \
             cfg-pack extract --root {} < {}",
            bundle.dir.display(),
            deploy.display(),
            bundle.config().display()
        ))
    })?;
    let mut text = format!("Bundle {}\n\n", bundle.dir.display());
    for line in bundle.manifest_text().lines() {
        text += &format!("    {line}\n");
    }
    text += &format!(
        "\nIts .env, secrets/ and certs/ will be put into {}. Nothing else is done yet.\n\n",
        deploy.display()
    );
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
    let stdin = std::io::stdin();
    let typed = stdin.is_terminal();
    let mut answers = Answers::new(stdin.lock(), typed);
    let question = "Type the bundle's domain to continue:";
    if !confirms(answers.given_or_asked(confirm, question)?.as_deref(), domain) {
        return Err(Stop::refused("the bundle's domain was not typed; nothing was changed").into());
    }
    let mark = mark(deploy);
    let mut file = AtomicFile::create(&mark)?;
    file.write_all(bundle.identity()?.as_bytes())
        .with_context(|| format!("writing {}", mark.display()))?;
    file.commit()?;
    extract_tool(deploy, &bundle).run().with_context(|| {
        format!(
            "not all of the configuration is in {}; to try again: {} --bootstrap",
            deploy.display(),
            restore(deploy, &bundle.dir)
        )
    })?;
    std::fs::remove_file(&mark).with_context(|| format!("removing {}", mark.display()))?;
    name_what_does_not_resolve(deploy);
    info!(
        "the configuration is in place; review {}, then: {}",
        deploy.join(".env").display(),
        restore(deploy, &bundle.dir)
    );
    Ok(Exit::Done)
}

fn extract_tool(deploy: &Path, bundle: &Bundle) -> Tool {
    Tool::new("cfg-pack").args(["extract", "--root"]).arg(deploy).input(&bundle.config())
}

/// The file that names the bundle while its configuration is not complete.
fn mark(deploy: &Path) -> PathBuf {
    deploy.join(".restore/bootstrap")
}

/// The first part of a configuration that exists.
fn configured(deploy: &Path) -> Option<&'static str> {
    [".env", "secrets", "certs"].into_iter().find(|name| holds_a_file(&deploy.join(name)))
}

/// Refuses a configuration, unless an interrupted bootstrap from this bundle has left it, and nothing of it
/// would be replaced.
fn refuse_another(deploy: &Path, bundle: &Bundle, name: &str) -> Result<()> {
    if std::fs::read_to_string(mark(deploy)).ok() == Some(bundle.identity()?) {
        let plan = extract_tool(deploy, bundle).args(["--dry-run", "--json", "--quiet"]);
        let plan: Vec<PlannedFile> = plan.json()?;
        if plan.iter().all(|planned| planned.action != "replace") {
            return Ok(());
        }
    }
    Err(Stop::refused(format!(
        "{} exists, so this deployment is not empty; nothing was changed; to restore into it: {}; to \
         use the bundle's configuration instead, move .env, secrets/ and certs/ away first",
        deploy.join(name).display(),
        restore(deploy, &bundle.dir)
    ))
    .into())
}

/// An empty directory, which an operator may have created, is no configuration.
fn holds_a_file(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.any(|e| e.map_or(true, |e| holds_a_file(&e.path()))),
        Err(_) => path.symlink_metadata().is_ok(),
    }
}

/// Hosts that the old network knows may be unknown in the new one.
fn name_what_does_not_resolve(deploy: &Path) {
    let deploy_env = || Tool::new("deploy-env").arg("--deploy").arg(deploy);
    let rows: Result<Vec<ShownSetting>> = deploy_env().args(["show", "--json"]).json();
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => {
            warning!("review the settings: {error:#}");
            return;
        }
    };
    let ps = deploy_env().args(["--", "sh", "-c", "\"$PIPRIO_DRIVER\" ps"]).capture();
    let services: Vec<String> = ps
        .unwrap_or_default()
        .lines()
        .filter_map(|line| Some(line.split_once('\t')?.0.to_owned()))
        .collect();
    for (key, host) in hosts(&rows) {
        if !services.contains(&host) && (host.as_str(), 0).to_socket_addrs().is_err() {
            warning!(
                "{key}: the host {host} does not resolve here and is no service of this deployment"
            );
        }
    }
}

/// The hosts that settings name.
fn hosts(rows: &[ShownSetting]) -> Vec<(&str, String)> {
    const URLS: [&str; 3] = ["S3_ENDPOINT", "REDIS_URL", "READINESS_URLS"];
    let host_of = |url: &str| Some(url::Url::parse(url).ok()?.host_str()?.to_owned());
    let mut hosts = Vec::new();
    for row in rows {
        let Some(value) = &row.value else { continue };
        if row.setting == "POSTGRES_HOST" {
            hosts.push((row.setting.as_str(), value.clone()));
        } else if URLS.contains(&row.setting.as_str()) {
            // A readiness URL stands after its service's name.
            let urls = value.split_whitespace().map(|word| match word.split_once('=') {
                Some((name, url)) if !name.contains([':', '/']) => url,
                _ => word,
            });
            hosts.extend(urls.filter_map(host_of).map(|host| (row.setting.as_str(), host)));
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_of_all_settings_are_checked() {
        let shown = |key: &str, value: Option<&str>| ShownSetting {
            setting: key.into(),
            value: value.map(str::to_owned),
            source: serde::de::IgnoredAny,
            reason: None,
        };
        let row = |key: &str, value: &str| shown(key, Some(value));
        let rows = [
            row("POSTGRES_HOST", "db"),
            row("REDIS_URL", "redis://:***@cache:6379/3"),
            row("READINESS_URLS", "api=http://api:1/ready?x=y web=https://web/"),
            row("PIPRIO_DOMAIN", "piprio.example"),
            shown("S3_ENDPOINT", None),
        ];
        let found: Vec<String> = hosts(&rows).into_iter().map(|(_, host)| host).collect();
        assert_eq!(found, ["db", "cache", "api", "web"]);
    }

    #[test]
    fn an_empty_directory_is_no_configuration() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!holds_a_file(&dir.path().join("absent")));
        std::fs::create_dir_all(dir.path().join("secrets/empty")).unwrap();
        assert!(!holds_a_file(&dir.path().join("secrets")));
        std::fs::write(dir.path().join("secrets/empty/key"), "k").unwrap();
        assert!(holds_a_file(&dir.path().join("secrets")));
        std::os::unix::fs::symlink("nowhere", dir.path().join(".env")).unwrap();
        assert!(holds_a_file(&dir.path().join(".env")));
    }
}
