//! `diff`: what changed between two bundles, from their indexes and manifests alone.

mod config;
mod objects;
mod table;
mod tables;

use crate::figures::Dump;
use crate::manifest::{self, Parsed};
use crate::tree;
use anyhow::{Context, Result};
use config::Config;
use objects::Objects;
use pipe_kit::Exit;
use serde::Serialize;
use std::path::Path;
use tables::Tables;

/// A number before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    before: u64,
    after: u64,
}

impl Change {
    fn size(self) -> u64 {
        self.before.abs_diff(self.after)
    }
}

/// Names that came and went, and that stand for something else now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Names {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Side {
    bundle: String,
    domain: Option<String>,
    version: Option<String>,
}

#[derive(Debug, Serialize)]
struct Diff {
    before: Side,
    after: Side,
    database: Tables,
    objects: Objects,
    config: Config,
}

/// Prints what changed.
///
/// # Errors
/// If a bundle's manifest, dump, mirror or config archive cannot be read.
pub fn run(before: &Path, after: &Path, json: bool) -> Result<Exit> {
    let (before, after) = (tree::resolve(before)?, tree::resolve(after)?);
    let (dumps, objects) = std::thread::scope(|scope| {
        let dumps = scope.spawn(|| Ok((Dump::read(&before)?, Dump::read(&after)?)));
        let objects = Objects::between(&before, &after);
        let dumps =
            dumps.join().unwrap_or_else(|_| Err(anyhow::anyhow!("reading a dump panicked")));
        (dumps, objects)
    });
    let (old, new) = dumps?;
    let diff = Diff {
        before: side(&before)?,
        after: side(&after)?,
        database: Tables::between(&old, &new),
        objects: objects?,
        config: Config::between(&before, &after)?,
    };
    let text = if json { serde_json::to_string(&diff)? + "\n" } else { table::text(&diff) };
    pipe_kit::output::print(&text)?;
    Ok(Exit::Done)
}

fn side(bundle: &Path) -> Result<Side> {
    let path = bundle.join(manifest::FILE);
    let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let parsed = Parsed::read(&String::from_utf8_lossy(&text));
    let name = tree::name(bundle).to_string_lossy().into_owned();
    Ok(Side { bundle: name, domain: parsed.domain, version: parsed.version })
}
