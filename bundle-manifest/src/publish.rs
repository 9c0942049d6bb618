//! `publish`: gives a bundle its final name, in one step, once all of it is on the disk.

use crate::alarm::mark;
use crate::bundle::problems::summary;
use crate::bundle::structure::{self, Structure};
use crate::bundle::tree::{self, Tree};
use crate::verify::{self, damage_mark};
use anyhow::{Context, Result};
use bundle_format::BundleName;
use bundle_format::layout::{MIRROR_OWN, SEAL};
use bundle_format::report::BundleState;
use pipe_kit::atomic::{rename_new, sync_directory};
use pipe_kit::{Exit, Stop};
use rustix::fs::{CWD, syncfs};
use rustix::io::Errno;
use std::fs::{File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Makes a partial bundle durable, gives it its final name, and prints its final path.
///
/// # Errors
/// [`Exit::Refused`] if the final name exists, [`Exit::Damaged`] if the partial is not a whole bundle; if it
/// cannot be synced or renamed. There is no bundle of the final name then.
pub fn run(partial: &Path) -> Result<Exit> {
    let (partial, name) = (tree::resolve(partial)?, partial);
    let bundle = BundleName::parse_partial(tree::name(&partial)).ok_or_else(|| {
        Stop::usage(format!("{} is not named .piprio_YYYYMMDDTHHMMSSZ.partial", name.display()))
    })?;
    let mut found = structure::read(&partial)?;
    let target = place(&partial, &bundle, &mut found, false)?;
    if let Some(root) = target.parent()
        && tree::is_open(root)
    {
        let root = root.display();
        pipe_kit::warning!(
            "{root} can be read by others, and bundles hold every secret of the deployment; chmod 700 {root}"
        );
    }
    pipe_kit::output::print(&format!("{}\n", target.display()))?;
    Ok(Exit::Done)
}

/// Gives a partial its final name. `old`: a bundle of the older script, without a seal, is allowed.
///
/// # Errors
/// As for [`run`].
pub fn place(
    partial: &Path,
    name: &BundleName,
    found: &mut Structure,
    old: bool,
) -> Result<PathBuf> {
    let root = partial.parent().context("a bundle cannot be the root directory")?;
    let target = root.join(name.as_str());
    if target.symlink_metadata().is_ok() {
        return Err(exists(&target).into());
    }
    std::fs::set_permissions(partial, Permissions::from_mode(0o700))
        .with_context(|| format!("closing {} to others", partial.display()))?;
    sync(partial, &found.tree)?;
    require_whole(partial, found, old)?;
    // Marks of an earlier bundle of this name do not apply to this one.
    damage_mark::clear(&target);
    mark::clear(&target)?;
    // Without the rename in one step, the root's lock keeps others from taking the name.
    match rename_new(CWD, partial, &target) {
        Err(Errno::EXIST) => return Err(exists(&target).into()),
        result => result
            .with_context(|| format!("renaming {} to {}", partial.display(), target.display()))?,
    }
    sync_directory(root)?;
    Ok(target)
}

/// The refusal to replace a bundle.
pub fn exists(target: &Path) -> Stop {
    Stop::refused(format!("{} exists already; it is left as it is", target.display()))
}

/// Refuses what is not a whole, sealed bundle.
fn require_whole(partial: &Path, found: &mut Structure, old: bool) -> Result<()> {
    let sealed = found.sealed;
    let report = verify::quick(partial, found);
    match report.state {
        BundleState::Intact => Ok(()),
        BundleState::Unsealed if old => Ok(()),
        BundleState::Unknown => anyhow::bail!(
            "{} could not be checked and is not published: {}",
            partial.display(),
            report.unchecked.join("; ")
        ),
        _ => {
            let why = match summary(&report.problems) {
                Some(why) => why,
                None if !sealed => format!("{} is missing", SEAL),
                None => "it is incomplete".to_owned(),
            };
            let partial = partial.display();
            Err(Stop::damaged(format!("{partial} is not published: {why}")).into())
        }
    }
}

/// Syncs the whole filesystem first, at once; then, one by one, the files whose errors must not be missed.
fn sync(partial: &Path, tree: &Tree) -> Result<()> {
    let open = |path: &Path| {
        File::open(path).with_context(|| format!("opening {} to sync it", path.display()))
    };
    syncfs(open(partial)?).with_context(|| format!("syncing {}", partial.display()))?;
    let own = [MIRROR_OWN.as_bytes(), b"/"].concat();
    for path in tree.files.keys() {
        let bytes = path.as_bytes();
        if !bytes.contains(&b'/') || bytes.starts_with(&own) {
            let path = partial.join(path);
            open(&path)?.sync_all().with_context(|| format!("syncing {}", path.display()))?;
        }
    }
    tree.directories.iter().rev().try_for_each(|dir| sync_directory(&partial.join(dir)))
}
