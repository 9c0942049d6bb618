//! Which secrets are replaced by what: a pure function of what an archive has.

use super::shape::{self, Pick};
use super::spans;
use super::substitute::{Replacements, decoded};
use crate::settings;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Last words of names whose values are known elsewhere: who has such a value for a password keeps it.
const KNOWN: [&str; 14] = [
    "BUCKET", "DATABASE", "DB", "DOMAIN", "EMAIL", "HOST", "HOSTNAME", "IMAGE", "PORT", "REGION",
    "SCHEMA", "USER", "USERNAME", "VERSION",
];

/// Why a data key stays.
const DATA_KEY: &str = "data-key";

/// What became of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Replaced,
    /// With the reason.
    Kept(String),
}

/// What an archive has, and what of it the data needs.
pub struct Archive<'a> {
    pub variables: &'a BTreeMap<String, String>,
    /// By their paths below `secrets/`.
    pub files: &'a BTreeMap<String, Vec<u8>>,
    /// Names of variables, and of files below `secrets/`.
    pub data_keys: &'a BTreeSet<String>,
}

/// What it has afterwards.
#[derive(Debug, Default)]
pub struct Replaced {
    pub variables: BTreeMap<String, String>,
    /// Only those that change.
    pub files: BTreeMap<String, Vec<u8>>,
    /// By the names of variables, and of files with `secrets/` before them.
    pub outcomes: BTreeMap<String, Outcome>,
}

/// A file of `secrets/`.
enum Content<'a> {
    /// A line, and the end of it.
    Line(&'a str, &'a str),
    /// What a random text cannot stand for.
    Structured(&'a str, &'static str),
    Binary,
}

fn content(bytes: &[u8]) -> Content<'_> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Content::Binary };
    if text.contains("-----BEGIN ") {
        return Content::Structured(text, "a PEM file");
    }
    if text.trim_start().starts_with(['{', '[', '<']) && text.len() > 2 {
        return Content::Structured(text, "a structured file");
    }
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line.contains('\n') {
        true => Content::Structured(text, "a file of several lines"),
        false => Content::Line(line, &text[line.len()..]),
    }
}

/// A variable whose value is no secret, whatever else has the same one.
fn is_known(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let last = upper.rsplit('_').next().unwrap_or_default();
    let is_setting = settings::is_known(name) || KNOWN.contains(&last);
    is_setting && !settings::find(name).is_some_and(|setting| setting.secret)
}

impl Archive<'_> {
    fn is_data_key(&self, name: &str) -> bool {
        self.data_keys.contains(name)
    }

    /// The secret parts of each variable that has some.
    fn variable_parts(&self) -> BTreeMap<&str, Vec<Range<usize>>> {
        let all = self
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), spans::of_variable(name, value)));
        all.filter(|(_, parts)| !parts.is_empty()).collect()
    }

    /// Values that stay: those of data keys, and those that are known elsewhere, with the reason.
    fn kept(&self) -> BTreeMap<String, String> {
        let mut kept = BTreeMap::new();
        for (name, value) in self.variables.iter().filter(|(name, _)| is_known(name)) {
            kept.insert(value.clone(), format!("{name} has the same value"));
        }
        let mut keep = |name: &str, text: &str, parts: Vec<Range<usize>>| {
            kept.insert(text.to_owned(), format!("it is the data key {name}"));
            for part in parts {
                kept.insert(secret(text, &part), format!("it is the data key {name}"));
            }
        };
        for (name, value) in self.variables.iter().filter(|(name, _)| self.is_data_key(name)) {
            keep(name, value, spans::of_variable(name, value));
        }
        for (name, bytes) in self.files.iter().filter(|(name, _)| self.is_data_key(name)) {
            if let Content::Line(line, _) = content(bytes) {
                keep(name, line, spans::of_file(line));
            }
        }
        kept
    }

    /// The archive with random values in place of its secrets: the same one wherever a secret occurs.
    pub fn replaced(&self, pick: &mut Pick<'_>) -> Replaced {
        let parts = self.variable_parts();
        let kept = self.kept();
        let mut secrets: BTreeMap<String, String> = BTreeMap::new();
        let mut add = |secret: String| {
            if !kept.contains_key(&secret) && !secrets.contains_key(&secret) {
                let other = shape::like(&secret, pick);
                secrets.insert(secret, other);
            }
        };
        for (name, parts) in parts.iter().filter(|(name, _)| !self.is_data_key(name)) {
            let value = &self.variables[*name];
            parts.iter().for_each(|part| add(secret(value, part)));
        }
        for (_, bytes) in self.files.iter().filter(|(name, _)| !self.is_data_key(name)) {
            if let Content::Line(line, _) = content(bytes) {
                spans::of_file(line).iter().for_each(|part| add(secret(line, part)));
            }
        }
        let replacements = Replacements::new(secrets);
        let mut replaced = Replaced::default();
        self.variables(&parts, &replacements, &kept, &mut replaced);
        self.files(&replacements, &kept, pick, &mut replaced);
        replaced
    }

    fn variables(
        &self,
        parts: &BTreeMap<&str, Vec<Range<usize>>>,
        replacements: &Replacements,
        kept: &BTreeMap<String, String>,
        replaced: &mut Replaced,
    ) {
        for (name, value) in self.variables {
            let own = parts.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let new = if self.is_data_key(name) {
                value.clone()
            } else if is_known(name) {
                replacements.apply_to_parts(value, own)
            } else {
                replacements.apply(value, own)
            };
            if self.is_data_key(name) {
                replaced.outcomes.insert(name.clone(), Outcome::Kept(DATA_KEY.into()));
            } else if let Some(outcome) = outcome(value, &new, own, kept) {
                replaced.outcomes.insert(name.clone(), outcome);
            }
            replaced.variables.insert(name.clone(), new);
        }
    }

    fn files(
        &self,
        replacements: &Replacements,
        kept: &BTreeMap<String, String>,
        pick: &mut Pick<'_>,
        replaced: &mut Replaced,
    ) {
        for (name, bytes) in self.files {
            let content = content(bytes);
            let (new, outcome) = match content {
                _ if self.is_data_key(name) => (None, Some(Outcome::Kept(DATA_KEY.into()))),
                Content::Binary => {
                    let other = bytes.iter().map(|_| pick(256).to_le_bytes()[0]).collect();
                    (Some(other), Some(Outcome::Replaced))
                }
                Content::Structured(text, what) => {
                    let other = replacements.apply(text, &[]).into_bytes();
                    (Some(other), Some(Outcome::Kept(what.into())))
                }
                Content::Line(line, end) => {
                    let parts = spans::of_file(line);
                    let other = replacements.apply(line, &parts);
                    let outcome = outcome(line, &other, &parts, kept);
                    (Some((other + end).into_bytes()), outcome)
                }
            };
            if let Some(outcome) = outcome {
                replaced.outcomes.insert(format!("secrets/{name}"), outcome);
            }
            if let Some(new) = new.filter(|new| new != bytes) {
                replaced.files.insert(name.clone(), new);
            }
        }
    }
}

/// A secret in a URL is encoded; one that is a value as a whole is not.
fn secret(value: &str, part: &Range<usize>) -> String {
    match &value[part.clone()] {
        whole if whole.len() == value.len() => whole.to_owned(),
        part => decoded(part),
    }
}

fn outcome(
    old: &str,
    new: &str,
    parts: &[Range<usize>],
    kept: &BTreeMap<String, String>,
) -> Option<Outcome> {
    if old != new {
        return Some(Outcome::Replaced);
    }
    let reason = parts.iter().find_map(|part| kept.get(&secret(old, part)));
    reason.map(|reason| Outcome::Kept(reason.clone()))
}

#[cfg(test)]
mod tests;
