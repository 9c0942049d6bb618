//! The bundles below a root.

use anyhow::{Context, Result};
use bundle_format::BundleName;
use std::path::Path;

/// The finished bundles, newest first, and the names of the partial ones.
pub fn names(root: &Path) -> Result<(Vec<BundleName>, Vec<String>)> {
    let failed = || format!("reading {}", root.display());
    let (mut names, mut partials) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(root).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let is_dir = entry.file_type().with_context(failed)?.is_dir();
        if let Some(name) = BundleName::parse(&entry.file_name()) {
            if is_dir {
                names.push(name);
            } else {
                pipe_kit::warning!(
                    "{} is named as a bundle but is not a directory; ignored",
                    entry.path().display()
                );
            }
        } else if is_dir && BundleName::parse_partial(&entry.file_name()).is_some() {
            partials.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_by_key(|name| std::cmp::Reverse(name.taken()));
    partials.sort();
    Ok((names, partials))
}
