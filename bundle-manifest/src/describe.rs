//! `describe`: the manifest of a bundle whose components are in place.

use crate::bundle_name::BundleName;
use crate::manifest::{self, Manifest, Sizes};
use crate::mirror::{self, Extent, Mirror};
use crate::tree::{self, Tree};
use crate::{dump_head, text};
use anyhow::{Context, Result, anyhow, bail};
use pipe_kit::{Exit, Stop};
use std::path::Path;

const UNKNOWN: &str = "unknown";
const TOOLKIT: &str = concat!("piprio-backup ", env!("CARGO_PKG_VERSION"));

/// Prints the manifest.
///
/// # Errors
/// If a component is missing or cannot be read, or the directory is not named as a bundle.
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
    let postgres = dump_head::server_version(&dir.join(manifest::DATABASE))?;
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
    Ok(Sizes {
        database: size(manifest::DATABASE)?,
        objects: extent(dir, tree)?,
        config: size(manifest::CONFIG)?,
    })
}

/// How much the mirror holds; `None` where there is none.
fn extent(dir: &Path, tree: &Tree) -> Result<Option<Extent>> {
    if !tree.has_directory(mirror::DIR) {
        return Ok(None);
    }
    Ok(Some(match whole_mirror(dir, tree)? {
        Some(mirror) => mirror.extent(tree),
        None => mirror::plain_extent(tree),
    }))
}

/// The mirror's sums, every file that they list being there; `None` where a mirror has none.
///
/// # Errors
/// If they cannot be read, a listed file is missing, or the mirror is not finished.
pub fn whole_mirror(dir: &Path, tree: &Tree) -> Result<Option<Mirror>> {
    if mirror::is_unfinished(tree) {
        bail!("the mirror in {} is not finished; run obj-mirror to its end first", dir.display());
    }
    if tree.size(mirror::SUMS).is_none() {
        return Ok(None);
    }
    let mirror = Mirror::read(dir)?
        .map_err(|why| Stop::damaged(format!("{} {why}", dir.join(mirror::SUMS).display())))?;
    let first = mirror.missing(tree).next().map(text::path);
    if let Some(first) = first {
        let n = mirror.missing(tree).count();
        return Err(anyhow!("{first} is missing")).with_context(|| {
            format!("the mirror lists {} not there", text::count(n, "object file"))
        });
    }
    Ok(Some(mirror))
}
