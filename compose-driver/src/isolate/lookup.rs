//! What this host has: files, and images.

use super::dollar;
use super::facts::{Image, Kind};
use crate::client;
use crate::docker::{self, ANSWER};
use crate::project::Project;
use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::FileType;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// How many entries of a directory are looked at.
const ENTRIES: usize = 20_000;
/// Directories of the system's own, by which a container could reach what else runs here.
const SYSTEM: [&str; 5] = ["/dev", "/proc", "/run", "/sys", "/var/run"];

/// A path without links; as it is, where it does not exist.
pub fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// What lies at a path. A directory that cannot be read to its end counts as one with a socket in it.
pub fn kind(path: &Path) -> Kind {
    let real = real(path);
    let Ok(meta) = real.metadata() else { return Kind::Missing };
    let is_system = |dir: &&str| real.starts_with(dir) || Path::new(dir).starts_with(&real);
    if meta.is_file() {
        return Kind::File;
    }
    if !meta.is_dir() || SYSTEM.iter().any(is_system) {
        return Kind::Special;
    }
    match has_special(&real) {
        Ok(false) => Kind::Directory,
        Ok(true) | Err(_) => Kind::Special,
    }
}

fn has_special(dir: &Path) -> std::io::Result<bool> {
    let mut ahead = vec![dir.to_owned()];
    let mut seen = 0;
    while let Some(dir) = ahead.pop() {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            seen += 1;
            if seen > ENTRIES || is_special(kind) {
                return Ok(true);
            }
            if kind.is_dir() {
                ahead.push(entry.path());
            }
        }
    }
    Ok(false)
}

fn is_special(kind: FileType) -> bool {
    kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device()
}

/// The images of the active services: the one that production's container runs, else the configured one.
///
/// # Errors
/// If the engine does not answer.
pub fn images(
    services: &Map<String, Value>,
    active: &BTreeSet<String>,
    production: &Project<'_>,
) -> Result<BTreeMap<String, Image>> {
    let mut known: BTreeMap<String, Option<Image>> = BTreeMap::new();
    let mut images = BTreeMap::new();
    for (name, service) in services.iter().filter(|(name, _)| active.contains(*name)) {
        let running = production.containers.iter().find(|it| it.service() == name);
        let running = running.map(|container| container.image.clone());
        let configured = service.get("image").and_then(Value::as_str).map(dollar::single);
        let Some(image) = running.filter(|id| !id.is_empty()).or(configured) else { continue };
        let found = match known.get(&image) {
            Some(found) => found.clone(),
            None => inspect(&image)?,
        };
        known.insert(image, found.clone());
        if let Some(found) = found {
            images.insert(name.clone(), found);
        }
    }
    Ok(images)
}

/// What the engine knows of an image; `None` where it has no such image.
fn inspect(name: &str) -> Result<Option<Image>> {
    #[derive(Deserialize)]
    struct Inspected {
        id: String,
        volumes: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    }
    const FIELDS: &str = r#"{"id":{{json .Id}},"volumes":{{json .Config.Volumes}}}"#;
    let mut command = docker::command(&["image", "inspect", "--format", FIELDS, name]);
    command.stderr(Stdio::null());
    let read = std::io::read_to_string;
    let (status, text) = client::read(command, ANSWER, "docker image inspect", read)?;
    let found = text.ok().and_then(|text| serde_json::from_str::<Inspected>(&text).ok());
    Ok(found.filter(|_| status.success()).map(|Inspected { id, volumes }| Image {
        id,
        volumes: volumes.into_iter().flatten().map(|(path, _)| path).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_a_socket_in_it_is_none_that_may_be_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(path("plain/below")).unwrap();
        std::fs::create_dir_all(path("with/below")).unwrap();
        std::fs::write(path("plain/file"), "").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("with/below/s")).unwrap();
        std::os::unix::fs::symlink("with", path("link")).unwrap();
        for (name, expected) in [
            ("plain", Kind::Directory),
            ("plain/file", Kind::File),
            ("with", Kind::Special),
            ("with/below/s", Kind::Special),
            ("link", Kind::Special),
            ("gone", Kind::Missing),
        ] {
            assert_eq!(kind(&path(name)), expected, "{name}");
        }
        for name in ["/", "/dev", "/proc/self", "/dev/null", "/sys"] {
            assert_eq!(kind(Path::new(name)), Kind::Special, "{name}");
        }
        assert_eq!(kind(Path::new("/proc/self/status")), Kind::File);
    }
}
