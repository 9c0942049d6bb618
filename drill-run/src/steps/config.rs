//! `config`: the archive extracts aside, its settings resolve, and the files that they name are there.

use crate::bundle::Bundle;
use crate::drill::Drill;
use crate::secrets::Secrets;
use anyhow::{Context, Result};
use bundle_format::report::{SettingFile, SettingsCheck};
use pipe_kit::text;
use pipe_kit::tool::Tool;
use serde::Deserialize;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The command that extracts the configuration.
pub fn extract_tool(archive: &Path, to: &Path) -> Tool {
    Tool::new("cfg-pack").args(["extract", "--quiet", "--root"]).arg(to).input(archive)
}

/// The command that resolves its settings, with nothing of ours in the environment.
pub fn check_tool(config: &Path) -> Tool {
    Tool::new("deploy-env").arg("--deploy").arg(config).args(["check", "--json"])
}

/// Extracts and checks it.
///
/// # Errors
/// If it cannot be extracted.
pub fn run(drill: &Drill) -> Result<()> {
    let Some(archive) = drill.bundle.config() else {
        drill.results.skipped("config archive", "there", "an older script's bundle has none");
        return Ok(());
    };
    let dir = drill.workplace.subdirectory("config")?;
    extract_tool(&archive, &dir).run_quietly().context("extracting the config archive")?;
    drill.results.hide(Secrets::of_config(&dir)?);
    modes(drill, &archive, &dir)?;
    drill.set_config(dir.clone());
    if !dir.join(".env").is_file() {
        drill.results.finding(".env", "in the archive", "missing");
        return Ok(());
    }
    let check: SettingsCheck = check_tool(&dir).report()?;
    settings(drill, &check);
    files(drill, &check.files, &dir);
    database(drill, &check);
    Ok(())
}

/// An entry of `cfg-pack list --json`, as far as it matters here.
#[derive(Deserialize)]
struct Listed {
    path: String,
    #[serde(default)]
    raw_path: Option<String>,
    kind: String,
    mode: String,
}

impl Listed {
    /// Its path with the bytes that it has, whatever of them is shown.
    fn real_path(&self) -> PathBuf {
        let raw = self.raw_path.as_deref().and_then(text::unhex);
        raw.map_or_else(|| PathBuf::from(&self.path), |raw| OsString::from_vec(raw).into())
    }
}

/// Each file has the mode that the archive gives it, and no secret is for everybody.
fn modes(drill: &Drill, archive: &Path, dir: &Path) -> Result<()> {
    let listed: Vec<Listed> = Tool::new("cfg-pack").args(["list", "--json"]).arg(archive).json()?;
    let (mut wrong, mut open) = (Vec::new(), Vec::new());
    for entry in listed.iter().filter(|entry| entry.kind != "link") {
        // setuid is not restored, nor setgid and sticky everywhere.
        let archived = u32::from_str_radix(&entry.mode, 8).unwrap_or_default() & 0o777;
        let found =
            dir.join(entry.real_path()).symlink_metadata().map(|found| found.mode() & 0o777);
        if !found.as_ref().is_ok_and(|mode| is_restored(*mode, archived)) {
            let mode = found.map_or("missing".to_owned(), |mode| format!("{mode:04o}"));
            wrong.push(format!("{}: {mode}, {archived:04o} in the archive", entry.path));
        }
        let is_secret = entry.path.starts_with(".env") || entry.path.starts_with("secrets/");
        if is_secret && entry.kind == "file" && archived & 0o007 != 0 {
            open.push(format!("{} {archived:04o}", entry.path));
        }
    }
    let entries = text::count(listed.len(), "entry").replace("entrys", "entries");
    match wrong.is_empty() {
        true => drill.results.pass("config archive", "extracts, with its modes", entries),
        false => {
            drill.results.finding("config archive", "extracts, with its modes", wrong.join("; "))
        }
    }
    if !open.is_empty() {
        drill.results.note("secrets that everybody may read", "none", open.join(", "));
    }
    Ok(())
}

/// Who is not root may get less for a group that is not theirs, but nobody gets more.
fn is_restored(mode: u32, archived: u32) -> bool {
    mode & !archived == 0 && mode & 0o700 == archived & 0o700
}

fn settings(drill: &Drill, check: &SettingsCheck) {
    match &check.problem {
        None => drill.results.pass("settings of the .env", "resolve", "resolve"),
        Some(problem) => drill.results.finding("settings of the .env", "resolve", problem.clone()),
    }
}

/// A path that lies in the deployment under its own name is in the archive, too.
fn is_there(drill: &Drill, file: &SettingFile, config: &Path) -> Option<bool> {
    if file.inside {
        return Some(file.exists);
    }
    let inside = Path::new(&file.path).strip_prefix(&drill.settings.deploy).ok()?;
    Some(config.join(inside).is_file())
}

fn files(drill: &Drill, files: &[SettingFile], config: &Path) {
    let (mut there, mut elsewhere) = (0, Vec::new());
    for file in files {
        let SettingFile { setting, path, .. } = file;
        match (is_there(drill, file, config), file.expected) {
            (Some(true), _) => there += 1,
            (Some(false), true) => {
                drill.results.finding(
                    format!("file of {setting}"),
                    format!("{path} in the archive"),
                    "missing",
                );
            }
            (Some(false), false) | (None, _) => elsewhere.push(format!("{setting}={path}")),
        }
    }
    drill.results.pass(
        "files that settings name",
        "in the archive",
        format!("{there} in the archive"),
    );
    if !elsewhere.is_empty() {
        drill.results.note("files outside the archive", "none", elsewhere.join(", "));
    }
}

/// A dump of another database than the configuration names restores something else.
fn database(drill: &Drill, check: &SettingsCheck) {
    let dumped = drill.dump().ok().and_then(|dump| dump.database.as_ref());
    let name = "database of the dump";
    match dumped {
        Some(dumped) if dumped.name == check.database => {
            drill.results.pass(name, check.database.clone(), dumped.name.clone());
        }
        Some(dumped) => {
            let expected = format!("{}, as POSTGRES_DB of the bundle's .env", check.database);
            let found = format!("{}: a dump of the wrong database", dumped.name);
            drill.results.finding(name, expected, found);
        }
        None => drill.results.skipped(name, check.database.clone(), "the dump does not record it"),
    }
}

/// For the dry run: whether the bundle has an archive.
pub fn commands(bundle: &Bundle, to: &Path) -> Vec<String> {
    match bundle.config() {
        Some(archive) => vec![extract_tool(&archive, to).to_shell(), check_tool(to).to_shell()],
        None => vec!["# skipped: the bundle has no config archive".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::is_restored;

    #[test]
    fn a_mode_may_be_narrower_for_the_group_and_never_wider() {
        for (mode, archived, expected) in [
            (0o600, 0o600, true),
            (0o600, 0o640, true),
            (0o640, 0o600, false),
            (0o400, 0o600, false),
            (0o755, 0o755, true),
        ] {
            assert_eq!(is_restored(mode, archived), expected, "{mode:o} {archived:o}");
        }
    }
}
