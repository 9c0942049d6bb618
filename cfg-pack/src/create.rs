//! `create`: the archive on standard output.

use crate::cli;
use crate::rel_path::RelPath;
use crate::scan::{self, Node, NodeKind, Source};
use crate::select;
use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use pipe_kit::Exit;
use rustix::fs::{Mode, OFlags};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::rc::Rc;
use tar::{EntryType, Header};

/// How much of a name fits into a header.
const NAME_FIELD: usize = 100;

/// Runs `create`.
pub fn run(args: &cli::Create) -> Result<Exit> {
    let required = select::paths(&args.paths)?;
    let optional = select::paths(&args.chosen.optional)?;
    let out = pipe_kit::output::binary()?;
    let scan = scan::scan(&args.chosen.root, &required, &optional)?;
    for note in &scan.notes {
        pipe_kit::info!("{note}");
    }
    for warning in &scan.warnings {
        pipe_kit::warning!("{warning}");
    }
    write(out, &scan.nodes)?.finish()?;
    pipe_kit::info!("archived {} entries", scan.nodes.len());
    Ok(Exit::Done)
}

/// Lets nothing through once the work has failed: the encoder would otherwise end an unfinished
/// archive properly when it is dropped.
struct Gate<W> {
    inner: W,
    failed: Rc<Cell<bool>>,
}

impl<W: Write> Write for Gate<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed.get() {
            return Err(io::Error::other("the archive is incomplete"));
        }
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes the archive; the same nodes and contents give the same bytes.
fn write<W: Write>(out: W, nodes: &BTreeMap<RelPath, Node>) -> Result<W> {
    let failed = Rc::new(Cell::new(false));
    let gate = Gate { inner: out, failed: Rc::clone(&failed) };
    // A header of flate2's own: no time, no name.
    let mut gzip = GzEncoder::new(gate, Compression::default());
    let written = write_tar(&mut gzip, nodes);
    if let Err(error) = written {
        failed.set(true);
        return Err(error);
    }
    match gzip.try_finish() {
        Ok(()) => Ok(gzip.finish().context("writing to standard output")?.inner),
        Err(error) => {
            failed.set(true);
            Err(error).context("writing to standard output")
        }
    }
}

fn write_tar(out: &mut impl Write, nodes: &BTreeMap<RelPath, Node>) -> Result<()> {
    for (path, node) in nodes {
        match &node.kind {
            NodeKind::Dir => {
                let name = [path.bytes(), b"/"].concat();
                header(out, &name, b"", node, EntryType::Directory, 0)?;
            }
            NodeKind::Link(target) => {
                header(out, path.bytes(), target, node, EntryType::Symlink, 0)?;
            }
            NodeKind::File(source) => {
                // Opened before its header is written: what cannot be read leaves no trace.
                let file = open(path, source)?;
                header(out, path.bytes(), b"", node, EntryType::Regular, source.size)?;
                copy(out, path, source, &file)?;
            }
        }
    }
    put(out, &[0; 1024])
}

fn header(
    out: &mut impl Write,
    name: &[u8],
    target: &[u8],
    node: &Node,
    kind: EntryType,
    size: u64,
) -> Result<()> {
    long(out, target, EntryType::GNULongLink)?;
    long(out, name, EntryType::GNULongName)?;
    extension(out, &node.attached.records)?;
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(node.attached.mode);
    header.set_uid(node.uid.into());
    header.set_gid(node.gid.into());
    header.set_mtime(node.mtime);
    header.set_size(size);
    // Both fit, and GNU's header has both.
    header.set_username(&node.attached.owner).context("an owner's name")?;
    header.set_groupname(&node.attached.group).context("a group's name")?;
    finish(out, header, name, target)
}

/// An entry before another that holds what the header has no field for.
fn extension(out: &mut impl Write, records: &[u8]) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(records.len() as u64);
    finish(out, header, b"././@PaxHeader", b"")?;
    put(out, records)?;
    pad(out, records.len() as u64)
}

/// GNU's way with a name that does not fit: an entry before it that holds the name.
fn long(out: &mut impl Write, name: &[u8], kind: EntryType) -> Result<()> {
    if name.len() <= NAME_FIELD {
        return Ok(());
    }
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(name.len() as u64 + 1);
    finish(out, header, b"././@LongLink", b"")?;
    put(out, name)?;
    put(out, &[0])?;
    pad(out, name.len() as u64 + 1)
}

fn finish(out: &mut impl Write, mut header: Header, name: &[u8], target: &[u8]) -> Result<()> {
    let fields = header.as_gnu_mut().context("a GNU header")?;
    for (field, bytes) in [(&mut fields.name, name), (&mut fields.linkname, target)] {
        let fits = bytes.len().min(NAME_FIELD);
        field[..fits].copy_from_slice(&bytes[..fits]);
    }
    header.set_cksum();
    put(out, header.as_bytes())
}

fn open(path: &RelPath, source: &Source) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(&source.path, flags, Mode::empty())
        .with_context(|| format!("reading {path}"))?;
    let file = File::from(file);
    unchanged(path, source, &file)?;
    Ok(file)
}

fn unchanged(path: &RelPath, source: &Source, file: &File) -> Result<()> {
    let now = file.metadata().with_context(|| format!("reading {path}"))?;
    if Source::new(&source.path, &now) != *source {
        bail!("{path} changed while it was read; run it again once nothing writes to it");
    }
    Ok(())
}

fn copy(out: &mut impl Write, path: &RelPath, source: &Source, mut file: &File) -> Result<()> {
    let mut left = source.size;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = file.read(&mut buffer).with_context(|| format!("reading {path}"))?;
        if n == 0 {
            break;
        }
        let Some(rest) = left.checked_sub(n as u64) else {
            bail!("{path} grew while it was read; run it again once nothing writes to it");
        };
        left = rest;
        put(out, &buffer[..n])?;
    }
    if left > 0 {
        bail!("{path} shrank while it was read; run it again once nothing writes to it");
    }
    unchanged(path, source, file)?;
    pad(out, source.size)
}

fn pad(out: &mut impl Write, size: u64) -> Result<()> {
    let over = usize::try_from(size % 512).unwrap_or(0);
    if over == 0 { Ok(()) } else { put(out, &[0; 512][over..]) }
}

fn put(out: &mut impl Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).context("writing to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attached::Attached;
    use std::io::Seek;
    use std::os::unix::fs::MetadataExt;

    fn node(kind: NodeKind) -> Node {
        let attached = Attached { mode: 0o600, ..Attached::default() };
        Node { kind, uid: 0, gid: 0, mtime: 1, attached }
    }

    fn source(file: &std::path::Path) -> Source {
        Source::new(file, &std::fs::metadata(file).unwrap())
    }

    #[test]
    fn a_failure_leaves_no_end_that_reads_as_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        std::fs::write(&file, b"content").unwrap();
        let gone = Source { path: dir.path().join("gone"), ..source(&file) };
        let path = |name: &str| RelPath::parse(name.as_bytes()).unwrap();
        let nodes = BTreeMap::from([
            (path("a"), node(NodeKind::File(source(&file)))),
            (path("b"), node(NodeKind::File(gone))),
        ]);
        let mut out = Vec::new();
        let error = write(&mut out, &nodes).err().unwrap();
        assert_eq!(error.to_string(), "reading b");
        let mut text = Vec::new();
        let read = flate2::read::MultiGzDecoder::new(out.as_slice()).read_to_end(&mut text);
        assert!(read.is_err(), "an unfinished archive must not decompress to its end");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_never_archived() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        std::fs::write(&file, vec![b'x'; 100_000]).unwrap();
        let found = source(&file);
        let path = RelPath::parse(b"a").unwrap();
        let mut open_file = File::options().read(true).write(true).open(&file).unwrap();
        let mut grown = |size: u64| {
            open_file.set_len(size).unwrap();
            open_file.rewind().unwrap();
            let error = copy(&mut io::sink(), &path, &found, &open_file).unwrap_err();
            error.to_string()
        };
        assert!(grown(100_001).contains("grew"));
        assert!(grown(99_999).contains("shrank"));
        std::fs::write(dir.path().join("b"), b"other").unwrap();
        std::fs::rename(dir.path().join("b"), &file).unwrap();
        let error = open(&path, &found).unwrap_err();
        assert!(error.to_string().contains("changed while it was read"), "{error}");
        assert_ne!(std::fs::metadata(&file).unwrap().ino(), found.identity.1);
    }
}
