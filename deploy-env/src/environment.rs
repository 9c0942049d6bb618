//! Running a command in the resolved environment.

use crate::deployment::Deployment;
use crate::layers::{ADDED, Inherited, Layers, RESOLVED};
use crate::resolve::{self, Resolved};
use crate::settings;
use anyhow::{Context, Result, anyhow};
use pipe_kit::Exit;
use pipe_kit::trust::refuse_if_others_may_write;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// What changes in a process environment: what is set, and what (`None`) is dropped.
pub type Changes = BTreeMap<OsString, Option<OsString>>;

/// Replaces this process by the command. Returns only if that fails. Settings that are resolved
/// already are kept, unless `afresh`.
pub fn run(deployment: &Deployment, words: &[OsString], afresh: bool) -> Result<Exit> {
    let (program, args) = words.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(args);
    if afresh || !is_resolved_for(deployment) {
        let layers = Layers::read_required(deployment, Inherited::All)?;
        let path = path_with_bin(deployment)?;
        let resolved = resolve::resolve(deployment, &layers)?;
        let changes = changes(&layers.environment, std::env::vars_os(), resolved, path);
        for (name, value) in changes {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }
    let error = command.exec();
    let program = program.to_string_lossy();
    Err(match error.kind() {
        ErrorKind::NotFound => anyhow!("{program} not found on PATH"),
        _ => anyhow!(error).context(format!("running {program}")),
    })
}

/// The changes to the process environment with which a command finds settings that are resolved.
///
/// # Errors
/// [`pipe_kit::Stop::refused`] if the deployment's programs can be written by others and we are root.
pub fn of(deployment: &Deployment, layers: &Layers, resolved: Resolved) -> Result<Changes> {
    let path = path_with_bin(deployment)?;
    Ok(changes(&layers.environment, std::env::vars_os(), resolved, path))
}

/// A run keeps the settings that it began with, even where the `.env` has changed since.
fn is_resolved_for(deployment: &Deployment) -> bool {
    std::env::var_os(RESOLVED).is_some_and(|v| v == "1")
        && std::env::var_os("PIPRIO_DEPLOY").is_some_and(|dir| deployment.is(Path::new(&dir)))
}

/// PATH with the deployment's own programs first.
fn path_with_bin(deployment: &Deployment) -> Result<Option<OsString>> {
    let bin = deployment.dir().join("bin");
    if !bin.is_dir() {
        return Ok(None);
    }
    refuse_if_others_may_write(&bin)?;
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let rest = std::env::split_paths(&path).filter(|dir| *dir != bin);
    let path = std::env::join_paths(std::iter::once(bin.clone()).chain(rest))
        .with_context(|| format!("{} cannot be on PATH", bin.display()))?;
    Ok(Some(path))
}

/// What changes in the process environment: what is set, and what (`None`) is dropped. `before` is
/// the environment without what an earlier resolution put there, `inherited` all of it, and what is not in `before` is dropped.
fn changes(
    before: &BTreeMap<String, String>,
    inherited: impl Iterator<Item = (OsString, OsString)>,
    resolved: Resolved,
    path: Option<OsString>,
) -> Changes {
    let mut changes = BTreeMap::new();
    for (name, value) in inherited {
        // A value that is not UTF-8 is no setting: it passes.
        let is_forgotten = |name: &str| value.to_str().is_some() && !before.contains_key(name);
        if name.to_str().is_some_and(|name| settings::is_foreign(name) || is_forgotten(name)) {
            changes.insert(name, None);
        }
    }
    let mut added = vec![ADDED, RESOLVED];
    for (name, value) in resolved.exports {
        // A client's variable from outside is the operator's only where it is a setting; else ours
        // stands in its place.
        let is_theirs = match settings::is_foreign(name) {
            true => resolved.given.contains(&name),
            false => before.contains_key(name),
        };
        if !is_theirs {
            added.push(name);
        }
        changes.insert(name.into(), Some(value.into()));
    }
    added.sort_unstable();
    changes.insert(ADDED.into(), Some(added.join(" ").into()));
    changes.insert(RESOLVED.into(), Some("1".into()));
    if let Some(path) = path {
        changes.insert(OsStr::new("PATH").to_owned(), Some(path));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn what_would_steer_the_clients_from_outside_is_dropped_and_what_was_added_is_named() {
        let before: BTreeMap<String, String> = [
            ("PIPRIO_DOMAIN", "d"),
            ("PGHOST", "evil"),
            ("PGUSER", "evil"),
            ("PGSSLMODE", "require"),
            ("AWS_PROFILE", "p"),
            ("HOME", "/root"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        let mut inherited: Vec<(OsString, OsString)> =
            before.iter().map(|(k, v)| (k.into(), v.into())).collect();
        for name in ["S3_BUCKET", "NO_PROXY"] {
            inherited.push((name.into(), "left by an earlier resolution".into()));
        }
        inherited.push(("LATIN_1".into(), OsString::from_vec(vec![0xE9])));
        let exports = [
            ("PIPRIO_DOMAIN", "d"),
            ("PGPORT", "5432"),
            ("PGUSER", "piprio"),
            ("PGSSLMODE", "require"),
        ];
        let exports = exports.map(|(k, v)| (k, v.to_owned())).to_vec();
        let resolved = Resolved { exports, given: vec!["PGSSLMODE"], ..Resolved::default() };
        let changes = changes(&before, inherited.into_iter(), resolved, None);
        let get = |name: &str| changes.get(OsStr::new(name)).cloned();
        assert_eq!(get("PGHOST"), Some(None));
        assert_eq!(get("AWS_PROFILE"), Some(None));
        assert_eq!(get("S3_BUCKET"), Some(None));
        assert_eq!(get("NO_PROXY"), Some(None));
        assert_eq!(get("LATIN_1"), None);
        assert_eq!(get("HOME"), None);
        assert_eq!(get("PGPORT"), Some(Some("5432".into())));
        assert_eq!(get("PGSSLMODE"), Some(Some("require".into())));
        let added = "PGPORT PGUSER PIPRIO_RESOLVED PIPRIO_SET";
        assert_eq!(get("PIPRIO_SET"), Some(Some(added.into())));
    }
}
