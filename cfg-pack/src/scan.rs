//! Which files of a deployment go into an archive: decided before the first byte is written.

use crate::attached::{Attached, Reader};
use crate::entry::{MAX_BYTES, MAX_ENTRIES};
use crate::links::{self, Inside};
use crate::names;
use crate::rel_path::{RelPath, shown};
use anyhow::{Context, Result, bail};
use pipe_kit::Stop;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// One thing to archive.
pub struct Node {
    pub kind: NodeKind,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970, UTC.
    pub mtime: u64,
    /// Its permission bits too, with setuid, setgid and sticky.
    pub attached: Attached,
}

/// What kind of thing it is.
pub enum NodeKind {
    Dir,
    File(Source),
    /// A link and its text.
    Link(Vec<u8>),
}

/// A file as it was found; it must still be so once it has been read.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    pub identity: (u64, u64),
    pub changed: (i64, i64),
}

impl Source {
    /// The file of this path with this metadata.
    pub fn new(path: &Path, meta: &Metadata) -> Self {
        Self {
            path: path.to_owned(),
            size: meta.len(),
            identity: (meta.dev(), meta.ino()),
            changed: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}

/// What was found.
pub struct Scan {
    root: PathBuf,
    named: Vec<RelPath>,
    inside: Vec<(u64, u64)>,
    cost: u64,
    reader: Reader,
    /// By path, in the order of the archive.
    pub nodes: BTreeMap<RelPath, Node>,
    /// What the operator should know.
    pub notes: Vec<String>,
    /// What of the files is lost.
    pub warnings: Vec<String>,
}

/// Looks at `required` and `optional` below `root`.
pub fn scan(root: &Path, required: &[RelPath], optional: &[RelPath]) -> Result<Scan> {
    let root = fs::canonicalize(root)
        .with_context(|| format!("the deployment's directory {}", root.display()))?;
    let mut scan = Scan {
        named: [required, optional].concat(),
        root,
        inside: Vec::new(),
        cost: 0,
        reader: Reader::new(),
        nodes: BTreeMap::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    for path in scan.named.clone() {
        if path.parts().any(names::is_kept_copy) {
            return Err(
                Stop::usage(format!("{path} is a kept copy; those are not archived")).into()
            );
        }
        scan.named(&path, !required.contains(&path))?;
    }
    if scan.nodes.is_empty() {
        bail!("nothing to archive: {} holds none of the named paths", scan.root.display());
    }
    let (notes, warnings) = scan.reader.left_out();
    scan.notes.extend(notes);
    scan.warnings = std::mem::take(&mut scan.reader.warnings);
    scan.warnings.extend(warnings);
    Ok(scan)
}

impl Scan {
    fn named(&mut self, path: &RelPath, optional: bool) -> Result<()> {
        let here = path.at(&self.root);
        match fs::symlink_metadata(&here) {
            Ok(meta) if meta.is_symlink() => {
                let real = self.follow(path, &here)?;
                self.notes
                    .push(format!("{path} is a link to {}; archiving its target", real.display()));
                self.parents(path)?;
                self.add(path, &real)
            }
            Ok(_) => {
                self.parents(path)?;
                self.add(path, &here)
            }
            Err(e) if e.kind() == ErrorKind::NotFound && optional => {
                self.notes.push(format!("{path} does not exist; skipped"));
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                bail!("{path} is missing in {}; nothing was archived", self.root.display())
            }
            Err(e) => Err(e).with_context(|| format!("looking at {}", here.display())),
        }
    }

    /// The directories above a named path, so that their modes come back too.
    fn parents(&mut self, path: &RelPath) -> Result<()> {
        for dir in path.ancestors() {
            let here = dir.at(&self.root);
            let meta =
                fs::metadata(&here).with_context(|| format!("looking at {}", here.display()))?;
            self.insert(&dir, &here, NodeKind::Dir, &meta)?;
        }
        Ok(())
    }

    fn add(&mut self, path: &RelPath, source: &Path) -> Result<()> {
        let meta = fs::symlink_metadata(source)
            .with_context(|| format!("looking at {}", source.display()))?;
        let kind = meta.file_type();
        if kind.is_symlink() {
            return self.add_link(path, source);
        }
        if kind.is_dir() {
            return self.add_dir(path, source, &meta);
        }
        if kind.is_file() {
            return self.insert(path, source, NodeKind::File(Source::new(source, &meta)), &meta);
        }
        let what = if kind.is_socket() {
            "a socket"
        } else if kind.is_fifo() {
            "a fifo"
        } else {
            "a device"
        };
        bail!(
            "{path} is {what}: only files, directories and links can be archived; move it elsewhere"
        )
    }

    fn add_dir(&mut self, path: &RelPath, source: &Path, meta: &Metadata) -> Result<()> {
        let identity = (meta.dev(), meta.ino());
        if self.inside.contains(&identity) {
            bail!("{path} is a directory that, through a link, contains itself");
        }
        self.insert(path, source, NodeKind::Dir, meta)?;
        self.inside.push(identity);
        let entries =
            fs::read_dir(source).with_context(|| format!("reading {}", source.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", source.display()))?;
            let name = entry.file_name();
            if names::is_leftover(name.as_bytes()) {
                self.notes.push(format!(
                    "{path}/{} is an unfinished file of an interrupted run; skipped",
                    shown(name.as_bytes())
                ));
            } else if !names::is_kept_copy(name.as_bytes()) {
                self.add(&path.join(name.as_bytes()), &entry.path())?;
            }
        }
        self.inside.pop();
        Ok(())
    }

    fn add_link(&mut self, path: &RelPath, source: &Path) -> Result<()> {
        let target = fs::read_link(source)
            .with_context(|| format!("reading the link {}", source.display()))?;
        let target = target.as_os_str().as_bytes();
        let real = self.follow(path, source)?;
        if self.stays(path, target, &real)? {
            let meta = fs::symlink_metadata(source)
                .with_context(|| format!("looking at {}", source.display()))?;
            return self.insert(path, source, NodeKind::Link(target.to_vec()), &meta);
        }
        if self.root.starts_with(&real) {
            bail!(
                "{path} is a link to {}, which holds the whole deployment; remove the link",
                real.display()
            );
        }
        self.notes.push(format!(
            "{path} is a link to {}, which is not part of the archive; archiving its target in its place",
            shown(target)
        ));
        self.add(path, &real)
    }

    /// What a link leads to in the end.
    fn follow(&self, path: &RelPath, link: &Path) -> Result<PathBuf> {
        fs::canonicalize(link).or_else(|e| {
            let target = fs::read_link(link).unwrap_or_default();
            let target = shown(target.as_os_str().as_bytes());
            match e.kind() {
                ErrorKind::NotFound => bail!("{path} is a link to {target}, which does not exist"),
                _ => Err(e).with_context(|| format!("following the link {path} to {target}")),
            }
        })
    }

    /// Whether a link means the same once it is extracted elsewhere: what its text resolves to by names
    /// alone is what the system finds, and will be there.
    fn stays(&self, path: &RelPath, target: &[u8], real: &Path) -> Result<bool> {
        let to = match links::resolve(path, target) {
            None => return Ok(false),
            Some(Inside::Root) => self.root.clone(),
            Some(Inside::At(to)) if self.is_archived(&to) => to.at(&self.root),
            Some(Inside::At(_)) => return Ok(false),
        };
        let real = fs::metadata(real).with_context(|| format!("looking at {}", real.display()))?;
        Ok(fs::metadata(to).is_ok_and(|m| (m.dev(), m.ino()) == (real.dev(), real.ino())))
    }

    fn is_archived(&self, path: &RelPath) -> bool {
        let ours = |part: &[u8]| names::is_kept_copy(part) || names::is_leftover(part);
        !path.parts().any(ours)
            && self.named.iter().any(|named| path.is_under(named) || named.is_under(path))
    }

    fn insert(
        &mut self,
        path: &RelPath,
        source: &Path,
        kind: NodeKind,
        meta: &Metadata,
    ) -> Result<()> {
        if let Err(why) = RelPath::parse(path.bytes()) {
            bail!("the path {path} {why} for an archive");
        }
        let size = if let NodeKind::File(source) = &kind { source.size } else { 0 };
        let (uid, gid) = (meta.uid(), meta.gid());
        let mut attached = self.reader.names(uid, gid, meta.mode() & 0o7777);
        // A link has none of its own, and a directory above two named paths is met twice.
        if !matches!(kind, NodeKind::Link(_)) && !self.nodes.contains_key(path) {
            self.reader.read(path, source, matches!(kind, NodeKind::Dir), &mut attached);
        }
        let records = attached.records.len() as u64;
        let mtime = u64::try_from(meta.mtime()).unwrap_or(0);
        let node = Node { kind, uid, gid, mtime, attached };
        if let Some(before) = self.nodes.get(path)
            && matches!(before.kind, NodeKind::Link(_)) != matches!(node.kind, NodeKind::Link(_))
        {
            bail!(
                "{path} is a link inside one named path and a directory inside another; name only one of them"
            );
        }
        if let Entry::Vacant(free) = self.nodes.entry(path.clone()) {
            free.insert(node);
            // A header, rounding up, the two blocks and more of each long name, and the records.
            self.cost = self.cost.saturating_add(size).saturating_add(20 * 512 + records);
        }
        if self.cost > MAX_BYTES || self.nodes.len() > MAX_ENTRIES {
            bail!(
                "{path}: more than {MAX_ENTRIES} entries or {} MiB; only settings, secrets and certificates belong here",
                MAX_BYTES >> 20
            );
        }
        Ok(())
    }
}
