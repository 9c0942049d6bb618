//! Which deployment a bundle belongs to, by the `Domain` of its manifest.

use bundle_format::domain::known;
use bundle_format::{layout, manifest};
use std::path::Path;

/// The domain that a bundle's manifest names; `None` where it names none, or cannot be read.
pub fn of(bundle: &Path) -> Option<String> {
    let path = bundle.join(layout::MANIFEST);
    // Reading a named pipe in its place would block.
    let is_file = path.symlink_metadata().ok()?.is_file();
    let text = if is_file { std::fs::read(&path).ok()? } else { return None };
    let text = String::from_utf8_lossy(&text);
    known(manifest::value(&text, "Domain")).map(str::to_owned)
}
