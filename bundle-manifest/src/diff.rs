//! `diff`: what changed between two bundles, from their indexes and manifests alone.

mod change;
mod config;
mod difference;
mod objects;
mod tables;
mod text;

use crate::bundle::contents::Dump;
use crate::bundle::tree;
use anyhow::{Context, Result};
use bundle_format::layout::MANIFEST;
use bundle_format::manifest::Parsed;
use config::Config;
use difference::{Difference, Side};
use objects::Objects;
use pipe_kit::Exit;
use std::path::Path;
use tables::Tables;

/// Prints what changed.
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
    let difference = Difference {
        before: side(&before)?,
        after: side(&after)?,
        database: Tables::between(&old, &new),
        objects: objects?,
        config: Config::between(&before, &after)?,
    };
    let text =
        if json { serde_json::to_string(&difference)? + "\n" } else { text::of(&difference) };
    pipe_kit::output::print(&text)?;
    Ok(Exit::Done)
}

fn side(bundle: &Path) -> Result<Side> {
    let path = bundle.join(MANIFEST);
    let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let parsed = Parsed::read(&String::from_utf8_lossy(&text));
    let name = tree::name(bundle).to_string_lossy().into_owned();
    Ok(Side { bundle: name, domain: parsed.domain, version: parsed.version })
}
