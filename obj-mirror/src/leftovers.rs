//! What lies in a mirror and is none of its objects.

use crate::contents::Item;
use crate::plan::Paths;
use crate::report::{Failure, Summary};
use crate::tree::Tree;
use anyhow::Result;
use pipe_kit::warning;
use std::path::PathBuf;

/// Finds it.
///
/// # Errors
/// If a directory cannot be read.
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

/// Removes what is none of the mirror's objects, or says that it is there.
pub fn clear(tree: &Tree, left: Vec<PathBuf>, delete: bool, summary: &mut Summary) {
    if !delete && !left.is_empty() {
        warning!(
            "{} files in {} are not objects of the bucket; --delete removes them",
            left.len(),
            tree.path().display()
        );
        return;
    }
    for path in left {
        let removed = match path.to_str() {
            Some(path) => tree.remove(path).map_err(|e| e.to_string()),
            None => Err("its name is not UTF-8; remove it by hand".into()),
        };
        match removed {
            Ok(()) => summary.deleted += 1,
            Err(reason) => {
                let key = path.to_string_lossy().into_owned();
                summary.failed.push(Failure { key, reason });
            }
        }
    }
}
