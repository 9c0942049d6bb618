//! Programs that root may run.

use crate::Stop;
use anyhow::{Context, Result};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// As root, refuses a program that someone else could have written, or its directory.
///
/// # Errors
/// [`Stop::refused`] naming it; if it cannot be looked at.
pub fn refuse_if_others_may_write(path: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let real = path.canonicalize().with_context(|| format!("finding {}", path.display()))?;
    for path in [Some(real.as_path()), real.parent(), path.parent()].into_iter().flatten() {
        let meta = path.metadata().with_context(|| format!("looking at {}", path.display()))?;
        if others_may_write(meta.uid(), meta.permissions().mode()) {
            let message = format!(
                "{} is writable by users other than root, so root does not run it: \
                 run it as the owner (runuser -u \"$(stat -c %U {0})\" -- COMMAND), or chown root:root {0} && chmod go-w {0}",
                path.display()
            );
            return Err(Stop::refused(message).into());
        }
    }
    Ok(())
}

fn others_may_write(owner: u32, mode: u32) -> bool {
    owner != 0 || mode & 0o022 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_root_alone_may_write_is_run_by_root() {
        for (owner, mode, others) in [
            (0, 0o755, false),
            (0, 0o700, false),
            (0, 0o775, true),
            (0, 0o757, true),
            (1000, 0o755, true),
        ] {
            assert_eq!(others_may_write(owner, mode), others, "{owner} {mode:o}");
        }
    }
}
