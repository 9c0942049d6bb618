//! Files in a mirror that are not its objects.

use crate::mirror::contents::Item;
use crate::mirror::paths::Paths;
use crate::mirror::tree::Tree;
use anyhow::Result;
use std::path::PathBuf;

/// Finds files that are not in `objects`.
pub fn leftovers(tree: &Tree, objects: &mut Paths) -> Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    tree.walk(|item| {
        match item {
            Item::File(path) if !objects.contains(path) => left.push(PathBuf::from(path)),
            Item::Foreign(path) => left.push(path.to_owned()),
            Item::File(_) | Item::Directory(_) => {}
        }
        Ok(())
    })?;
    left.sort();
    Ok(left)
}
