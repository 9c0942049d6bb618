//! `describe`: the manifest of a bundle whose components are in place.

mod dump_head;

use crate::bundle::mirror;
use crate::bundle::tree::{self, Tree};
use anyhow::{Result, anyhow};
use bundle_format::BundleName;
use bundle_format::domain::UNKNOWN;
use bundle_format::layout::{CONFIG, DATABASE, MIRROR};
use bundle_format::manifest::{Extent, Manifest, Sizes};
use pipe_kit::{Exit, Stop};
use std::path::Path;

/// What fuzzing reaches.
#[cfg(any(test, fuzzing))]
pub(crate) use dump_head::find as version_in;

const TOOLKIT: &str = concat!("piprio-backup ", env!("CARGO_PKG_VERSION"));

/// Prints the manifest.
///
/// # Errors
/// [`Stop::usage`] if the directory is not named as a bundle; if a component is missing or cannot be read.
pub fn run(dir: &Path) -> Result<Exit> {
    let dir = tree::resolve(dir)?;
    let name = tree::name(&dir);
    let name = BundleName::parse(name).or_else(|| BundleName::parse_partial(name)).ok_or_else(|| {
        Stop::usage(format!(
            "{} is not named as a bundle (piprio_YYYYMMDDTHHMMSSZ, or .piprio_YYYYMMDDTHHMMSSZ.partial)",
            dir.display()
        ))
    })?;
    let tree = Tree::walk(&dir)?;
    let sizes = sizes(&dir, &tree)?;
    let postgres = dump_head::server_version(&dir.join(DATABASE))?;
    let manifest = Manifest {
        bundle: name.as_str().to_owned(),
        timestamp: name.timestamp(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        version: setting("PIPRIO_VERSION"),
        domain: setting("PIPRIO_DOMAIN"),
        postgres: postgres.unwrap_or_else(|| UNKNOWN.to_owned()),
        toolkit: TOOLKIT.to_owned(),
        sizes,
    };
    pipe_kit::output::print(&manifest.render())?;
    Ok(Exit::Done)
}

fn setting(name: &str) -> String {
    let value = std::env::var_os(name).unwrap_or_default();
    match value.to_string_lossy().trim() {
        "" => UNKNOWN.to_owned(),
        value => value.to_owned(),
    }
}

fn sizes(dir: &Path, tree: &Tree) -> Result<Sizes> {
    let size = |name: &str| {
        let missing =
            || anyhow!("{name} is missing in {}; there is nothing to describe", dir.display());
        tree.size(name).ok_or_else(missing)
    };
    Ok(Sizes { database: size(DATABASE)?, objects: extent(dir, tree)?, config: size(CONFIG)? })
}

/// How much the mirror holds; `None` where there is none.
fn extent(dir: &Path, tree: &Tree) -> Result<Option<Extent>> {
    if !tree.has_directory(MIRROR) {
        return Ok(None);
    }
    Ok(Some(match mirror::whole(dir, tree)? {
        Some(mirror) => mirror.extent(tree),
        None => mirror::plain_extent(tree),
    }))
}
