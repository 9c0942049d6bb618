//! What can be checked of a bundle by its names, sizes and small files: presence, completeness of the lists, and
//! the manifest's sizes against those on disk.

use crate::bundle::mirror::{self, Mirror};
use crate::bundle::path_map::PathMap;
use crate::bundle::problems::Problems;
use crate::bundle::tree::Tree;
use anyhow::{Context, Result, anyhow};
use bundle_format::layout::{CONFIG, DATABASE, MANIFEST, MIRROR, MIRROR_SUMS, SEAL};
use bundle_format::manifest::Parsed;
use bundle_format::sums::{self, Digest, Sums};
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// A bundle as its lists and the disk have it.
#[derive(Debug, Default)]
pub struct Structure {
    /// What lies on disk.
    pub tree: Tree,
    /// The manifest, where it can be read.
    pub manifest: Option<Parsed>,
    /// The seal, where there is one that can be read.
    pub seal: Option<Sums>,
    /// The mirror's own checksums, where there are some that can be read.
    pub mirror: Option<Mirror>,
    /// Whether there is a seal, readable or not.
    pub sealed: bool,
    /// What is wrong so far.
    pub problems: Problems,
}

/// Reads the lists of a bundle and compares them with the disk.
pub fn read(dir: &Path) -> Result<Structure> {
    let tree = Tree::walk(dir)?;
    let mut found = Structure { sealed: tree.size(SEAL).is_some(), tree, ..Structure::default() };
    found.read_lists(dir)?;
    found.check_presence();
    found.check_lists();
    found.check_sizes();
    for (path, size) in mirror::resized(dir, &found.tree)? {
        let is = found.tree.size(&path).unwrap_or_default();
        found.problems.add(path, format!("has {is} bytes, and the mirror's index lists {size}"));
    }
    if mirror::is_unfinished(&found.tree) {
        found.problems.add("minio/", "is a mirror that was never finished");
    }
    Ok(found)
}

impl Structure {
    /// Passes every file that the seal or the mirror lists, and its checksum, to `take`.
    ///
    /// # Errors
    /// If the mirror's checksums cannot be read.
    pub fn each_sum(&self, dir: &Path, mut take: impl FnMut(OsString, Digest)) -> Result<()> {
        for (path, digest) in self.seal.iter().flatten() {
            take(path.clone(), *digest);
        }
        if self.mirror.is_some() {
            let each = mirror::each_sum(dir, |path, digest| {
                take(path, digest);
                true
            })?;
            each.map_err(|why| anyhow!("{} {why}", dir.join(MIRROR_SUMS).display()))?;
        }
        Ok(())
    }

    fn read_lists(&mut self, dir: &Path) -> Result<()> {
        let content = |name: &str| {
            std::fs::read(dir.join(name))
                .with_context(|| format!("reading {}", dir.join(name).display()))
        };
        if self.tree.size(MANIFEST).is_some() {
            let text = content(MANIFEST)?;
            self.manifest = Some(Parsed::read(&String::from_utf8_lossy(&text)));
        }
        if self.sealed {
            let text = content(SEAL)?;
            match sums::parse(&text) {
                Ok(seal) => {
                    // No other list covers the seal, so it must be byte for byte as it was written.
                    if sums::text(&seal) != text {
                        self.problems.add(SEAL, "is not as it was written");
                    }
                    self.seal = Some(seal);
                }
                Err(why) => self.problems.add(SEAL, why),
            }
        }
        if self.tree.size(MIRROR_SUMS).is_some() {
            match Mirror::read(dir, &self.tree)? {
                Ok(mirror) => self.mirror = Some(mirror),
                Err(why) => self.problems.add(MIRROR_SUMS, why),
            }
        }
        Ok(())
    }

    /// Whether this toolkit made the bundle, so that all of its promises hold.
    fn is_ours(&self) -> bool {
        self.sealed || self.manifest.as_ref().is_some_and(|m| m.toolkit.is_some())
    }

    fn check_presence(&mut self) {
        let ours = self.is_ours();
        let needed = [(MANIFEST, true), (DATABASE, true), (CONFIG, ours)];
        for (name, needed) in needed {
            match self.tree.size(name) {
                Some(0) => self.problems.add(name, "is empty"),
                None if needed && !self.tree.odd.contains_key(OsStr::new(name)) => {
                    self.problems.add(name, "is missing");
                }
                _ => {}
            }
        }
        if ours && !self.sealed {
            let why = "is missing, and the manifest names the toolkit that seals every bundle";
            self.problems.add(SEAL, why);
        }
        for (path, what) in &self.tree.odd {
            let why = format!("is {what}; a bundle holds files and directories only");
            self.problems.add(path, why);
        }
    }

    /// Every file is on a list, every listed file is there.
    fn check_lists(&mut self) {
        let empty = Mirror::default();
        let mirror = self.mirror.as_ref().unwrap_or(&empty);
        for path in mirror.missing(&self.tree) {
            self.problems.add(path, "is missing");
        }
        let Some(seal) = &self.seal else { return };
        for path in seal.keys() {
            if self.tree.size(path).is_none() && !self.tree.odd.contains_key(path) {
                self.problems.add(path, "is missing");
            }
        }
        // Checksums that cannot be read list nothing; a problem for every object would hide the cause.
        let mirror_unread = self.mirror.is_none() && self.tree.size(MIRROR_SUMS).is_some();
        for (place, path) in self.tree.files.keys().enumerate() {
            let listed = path == SEAL
                || seal.contains_key(path)
                || mirror.lists(place)
                || (mirror_unread && mirror::is_inside(path) && path != MIRROR_SUMS);
            if !listed {
                let why = "is not part of the bundle: neither the seal nor the mirror lists it";
                self.problems.add(path, why);
            }
        }
        // Where a listed file is missing, its empty directory is not reported too.
        let seal: PathMap<()> = seal.keys().map(|path| (path, ())).collect();
        let known = |dir: &Path| seal.has_below(dir) || mirror.lacks_below(dir);
        for path in self.tree.empty_directories().filter(|dir| !known(dir)) {
            self.problems.add(path, "is not part of the bundle: a directory with no file in it");
        }
    }

    fn check_sizes(&mut self) {
        let Some(manifest) = self.manifest.clone() else { return };
        for (name, listed) in [(DATABASE, manifest.database), (CONFIG, manifest.config)] {
            if let (Some(listed), Some(is)) = (listed, self.tree.size(name))
                && listed != is
            {
                self.problems.add(name, format!("has {is} bytes, and the manifest lists {listed}"));
            }
        }
        if manifest.toolkit.is_some() {
            self.check_mirror_extent(&manifest);
        }
    }

    fn check_mirror_extent(&mut self, manifest: &Parsed) {
        let has_mirror = self.tree.has_directory(MIRROR);
        match (manifest.objects, has_mirror) {
            (Some(Some(_)), false) => self.problems.add("minio/", "is missing"),
            (Some(None), true) => {
                self.problems.add("minio/", "is present, but the manifest lists it as absent");
            }
            (Some(Some(listed)), true) => {
                let known = match &self.mirror {
                    Some(mirror) if mirror.missing(&self.tree).next().is_none() => {
                        Some(mirror.extent(&self.tree))
                    }
                    None if self.tree.size(MIRROR_SUMS).is_none() => {
                        Some(mirror::plain_extent(&self.tree))
                    }
                    _ => None,
                };
                if let Some(is) = known.filter(|is| *is != listed) {
                    let why = format!(
                        "holds {} objects of {} bytes, and the manifest lists {} of {}",
                        is.objects, is.bytes, listed.objects, listed.bytes
                    );
                    self.problems.add("minio/", why);
                }
            }
            _ => {}
        }
    }
}
