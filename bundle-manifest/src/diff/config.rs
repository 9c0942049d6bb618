//! Config files and settings that were added, removed and changed: their names, never a value.

use super::change::Names;
use crate::bundle::config::{self, Entry};
use anyhow::Result;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

const ENV: &str = ".env";

type Digests = BTreeMap<String, [u8; 32]>;

/// What changed in the configuration.
#[derive(Debug, Default, Serialize)]
pub struct Config {
    pub files: Names,
    /// Of the `.env`.
    pub settings: Names,
}

#[derive(Default)]
struct Archive {
    files: Digests,
    settings: Digests,
}

impl Config {
    pub fn between(before: &Path, after: &Path) -> Result<Self> {
        let (old, new) = (Archive::read(before)?, Archive::read(after)?);
        Ok(Self {
            files: names(&old.files, &new.files),
            settings: names(&old.settings, &new.settings),
        })
    }
}

impl Archive {
    fn read(bundle: &Path) -> Result<Self> {
        let mut archive = Self::default();
        config::each(bundle, |name, entry| archive.add(name, entry))?;
        Ok(archive)
    }

    fn add(&mut self, name: &str, entry: &mut dyn Entry) -> Result<()> {
        let content = entry.content()?;
        if name == ENV {
            self.settings = settings(&content);
        }
        self.files.insert(name.to_owned(), Sha256::digest(&content).into());
        Ok(())
    }
}

/// Each key of an `.env` with a digest of its lines.
fn settings(env: &[u8]) -> Digests {
    let text = String::from_utf8_lossy(env);
    let (mut lines, mut key) = (BTreeMap::<String, String>::new(), String::new());
    for line in text.lines() {
        match key_of(line) {
            Some(own) => {
                own.clone_into(&mut key);
                lines.insert(key.clone(), format!("{line}\n"));
            }
            None if line.trim().is_empty() || line.trim_start().starts_with('#') => {}
            // A value in quotes may span lines.
            None => {
                if let Some(value) = lines.get_mut(&key) {
                    value.push_str(line);
                    value.push('\n');
                }
            }
        }
    }
    lines.into_iter().map(|(key, text)| (key, Sha256::digest(text).into())).collect()
}

fn key_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let end = line.find(['=', ':'])?;
    let key = line[..end].trim_end();
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    (!key.is_empty() && !key.starts_with(|c: char| c.is_ascii_digit()) && key.chars().all(plain))
        .then_some(key)
}

fn names(old: &Digests, new: &Digests) -> Names {
    let missing = |from: &Digests, other: &Digests| -> Vec<String> {
        from.keys().filter(|name| !other.contains_key(*name)).cloned().collect()
    };
    let differs =
        |(name, digest): &(&String, &[u8; 32])| old.get(*name).is_some_and(|was| was != *digest);
    Names {
        added: missing(new, old),
        removed: missing(old, new),
        changed: new.iter().filter(differs).map(|(name, _)| name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn names_of_files_and_settings_are_listed_and_no_value() {
        let old = [
            (".env", "A=hunter2\n# B=x\nexport C='one\ntwo=hunter2'\nGONE: 1\n"),
            ("secrets/key", "hunter2"),
            ("secrets/old", "x"),
        ];
        let new = [
            (".env", "A=hunter3\nC='one\ntwo=hunter2'\n\nNEW=hunter2\n"),
            ("secrets/key", "hunter3"),
            ("certs/tls.key", "x"),
        ];
        let archive = |files: &[(&str, &str)]| {
            let mut archive = Archive::default();
            config::each_of(&tar_of(files)[..], |name, entry| archive.add(name, entry)).unwrap();
            archive
        };
        let (old, new) = (archive(&old), archive(&new));
        let settings = names(&old.settings, &new.settings);
        assert_eq!(settings.added, ["NEW"]);
        assert_eq!(settings.removed, ["GONE"]);
        assert_eq!(settings.changed, ["A", "C"]);
        let files = names(&old.files, &new.files);
        assert_eq!(
            (&files.added[..], &files.removed[..]),
            (&["certs/tls.key".into()][..], &["secrets/old".into()][..])
        );
        assert_eq!(files.changed, [".env", "secrets/key"]);
        let json = serde_json::to_string(&Config { files, settings }).unwrap();
        assert!(!json.contains("hunter"), "{json}");
    }
}
