//! What is mounted into a service: nothing of the host that it could write to, and no data but the drill's.

use super::dollar;
use super::facts::{Facts, Image, Kind, Place};
use super::notes::Notes;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Sockets by which a container can do with the host what it wants.
const ENGINES: [&str; 3] = ["docker.sock", "containerd.sock", "podman.sock"];

#[derive(Debug, PartialEq, Eq)]
enum Source {
    Path(PathBuf),
    Volume(String),
    Anonymous,
}

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    source: Source,
    target: String,
    read_only: bool,
    /// Whether a new volume stays without what the image has at its place.
    is_bare: bool,
}

/// A mount in either form that Compose prints; none for what is in memory, or of a kind of its own.
fn read(entry: &Value) -> Option<Mount> {
    if let Value::String(text) = entry {
        let mut parts = text.split(':').map(dollar::single);
        let (first, second, mode) = (parts.next()?, parts.next(), parts.next());
        let mode = mode.unwrap_or_default();
        let has = |word: &str| mode.split(',').any(|other| other == word);
        let (source, target) = match second {
            None => (Source::Anonymous, first),
            Some(target) if first.starts_with('/') => (Source::Path(first.into()), target),
            Some(target) => (Source::Volume(first), target),
        };
        return Some(Mount { source, target, read_only: has("ro"), is_bare: has("nocopy") });
    }
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map(dollar::single);
    let source = match (text("type")?.as_str(), text("source")) {
        ("bind", Some(path)) => Source::Path(path.into()),
        ("volume", Some(name)) => Source::Volume(name),
        ("volume", None) => Source::Anonymous,
        _ => return None,
    };
    let is = |pointer: &str| entry.pointer(pointer) == Some(&Value::Bool(true));
    let (read_only, is_bare) = (is("/read_only"), is("/volume/nocopy"));
    Some(Mount { source, target: text("target")?, read_only, is_bare })
}

fn entries(service: &Value) -> impl Iterator<Item = &Value> {
    service.get("volumes").and_then(Value::as_array).into_iter().flatten()
}

/// Whether a service has the socket of an engine.
pub fn has_engine(service: &Value) -> bool {
    let is_engine = |mount: Mount| match mount.source {
        Source::Path(path) => {
            path.file_name().is_some_and(|it| ENGINES.iter().any(|own| it == *own))
        }
        _ => false,
    };
    entries(service).filter_map(read).any(is_engine)
}

/// The volumes of the drill.
#[derive(Debug, Default)]
pub struct Volumes {
    taken: BTreeSet<String>,
    used: BTreeSet<String>,
    of_paths: BTreeMap<PathBuf, String>,
}

impl Volumes {
    /// With the names that the configuration uses.
    pub fn new(taken: BTreeSet<String>) -> Self {
        Self { taken, ..Self::default() }
    }

    pub fn used(&self) -> &BTreeSet<String> {
        &self.used
    }

    fn named(&mut self, name: &str) -> String {
        self.used.insert(name.to_owned());
        name.to_owned()
    }

    fn new_one(&mut self) -> String {
        let names = (1u32..).map(|n| format!("drill-{n}"));
        let is_free = |name: &String| !self.taken.contains(name) && !self.used.contains(name);
        let name = names.into_iter().find(is_free).unwrap_or_default();
        self.named(&name)
    }

    /// One volume for all services that have the same directory.
    fn in_place_of(&mut self, path: &Path) -> String {
        if let Some(name) = self.of_paths.get(path) {
            return name.clone();
        }
        let name = self.new_one();
        self.of_paths.insert(path.to_owned(), name.clone());
        name
    }

    /// The mounts of a service.
    ///
    /// # Errors
    /// [`pipe_kit::Stop::refused`] for a file that the bundle should have.
    pub fn of_service(
        &mut self,
        name: &str,
        service: &Value,
        image: &Image,
        facts: &Facts<'_>,
        notes: &mut Notes,
    ) -> Result<Vec<Value>> {
        let mut mounts = Vec::new();
        let mut targets = BTreeSet::new();
        for entry in entries(service) {
            match read(entry) {
                Some(mount) => {
                    targets.insert(mount.target.trim_end_matches('/').to_owned());
                    mounts.extend(self.isolated(name, mount, facts, notes)?);
                }
                None if entry.get("type").is_some_and(|kind| kind == "tmpfs") => {
                    mounts.push(entry.clone());
                }
                None => notes.drop_of(name, "a mount of a kind that is not known"),
            }
        }
        for target in
            image.volumes.iter().filter(|path| !targets.contains(path.trim_end_matches('/')))
        {
            mounts.push(volume(&self.new_one(), target, false, false));
        }
        Ok(mounts)
    }

    fn isolated(
        &mut self,
        service: &str,
        mount: Mount,
        facts: &Facts<'_>,
        notes: &mut Notes,
    ) -> Result<Option<Value>> {
        let Mount { source, target, read_only, is_bare } = mount;
        let path = match source {
            Source::Volume(name) => {
                return Ok(Some(volume(&self.named(&name), &target, read_only, is_bare)));
            }
            Source::Anonymous => {
                return Ok(Some(volume(&self.new_one(), &target, read_only, is_bare)));
            }
            Source::Path(path) => path,
        };
        let theirs = match facts.place(&path) {
            Place::Host(path) => path,
            Place::Deployment(inside) => match facts.of_bundle(&inside, service)? {
                Some(own) => return Ok(Some(bind(&own, &target, read_only))),
                None => facts.deploy.join(inside),
            },
        };
        let shown = theirs.display();
        match ((facts.kind)(&theirs), read_only) {
            (Kind::File | Kind::Directory, true) => return Ok(Some(bind(&theirs, &target, true))),
            (Kind::File, false) => {
                notes.drop_of(service, format!("{target}: {shown} can be read and not written"));
                return Ok(Some(bind(&theirs, &target, true)));
            }
            (Kind::Special, _) => {
                notes.drop_of(service, format!("{target}: {shown} is not mounted"));
                return Ok(None);
            }
            (Kind::Directory, false) => {
                notes.drop_of(service, format!("{target}: an empty volume in place of {shown}"));
            }
            (Kind::Missing, _) => {
                notes.drop_of(
                    service,
                    format!("{target}: an empty volume, since there is no {shown}"),
                );
            }
        }
        Ok(Some(volume(&self.in_place_of(&theirs), &target, read_only, is_bare)))
    }
}

fn bind(source: &Path, target: &str, read_only: bool) -> Value {
    let source = dollar::doubled(&source.to_string_lossy());
    json!({"type": "bind", "source": source, "target": dollar::doubled(target),
           "read_only": read_only})
}

fn volume(name: &str, target: &str, read_only: bool, is_bare: bool) -> Value {
    let mut mount = json!({"type": "volume", "source": name, "target": dollar::doubled(target),
                           "read_only": read_only});
    if is_bare {
        mount["volume"] = json!({"nocopy": true});
    }
    mount
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_in_every_form_that_compose_prints() {
        let path = |path: &str| Source::Path(path.into());
        let name = |name: &str| Source::Volume(name.into());
        for (entry, source, target, read_only, is_bare) in [
            (json!("/a:/b"), path("/a"), "/b", false, false),
            (json!("/a:/b:ro,z"), path("/a"), "/b", true, false),
            (json!("/a$$b:/b:rw"), path("/a$b"), "/b", false, false),
            (json!("data:/b:rw"), name("data"), "/b", false, false),
            (json!("data:/b:ro,nocopy"), name("data"), "/b", true, true),
            (json!("/b"), Source::Anonymous, "/b", false, false),
            (
                json!({"type": "bind", "source": "/a", "target": "/b", "read_only": true,
                       "bind": {"propagation": "shared"}}),
                path("/a"),
                "/b",
                true,
                false,
            ),
            (
                json!({"type": "bind", "source": "/a", "target": "/b"}),
                path("/a"),
                "/b",
                false,
                false,
            ),
            (
                json!({"type": "volume", "source": "d", "target": "/b", "volume": {"nocopy": true}}),
                name("d"),
                "/b",
                false,
                true,
            ),
            (
                json!({"type": "volume", "target": "/b", "volume": {}}),
                Source::Anonymous,
                "/b",
                false,
                false,
            ),
        ] {
            let expected = Mount { source, target: target.to_owned(), read_only, is_bare };
            assert_eq!(read(&entry), Some(expected), "{entry}");
        }
        for entry in
            [json!({"type": "tmpfs", "target": "/t"}), json!({"type": "cluster"}), json!(1)]
        {
            assert_eq!(read(&entry), None, "{entry}");
        }
    }

    #[test]
    fn an_engines_socket_is_found_wherever_it_lies() {
        for (source, found) in [
            ("/var/run/docker.sock:/x", true),
            ("/run/user/1000/docker.sock:/x:ro", true),
            ("/srv/docker.sock.d:/x", false),
            ("docker.sock:/x", false),
        ] {
            let service = json!({"volumes": [source]});
            assert_eq!(has_engine(&service), found, "{source}");
        }
        assert!(!has_engine(&json!({})));
    }
}
