//! A deployment's directory, walked without following links: only its first-level names may be
//! links to another place, and only where the caller allows it.

use crate::rel_path::{RelPath, shown};
use anyhow::{Context, Result, anyhow};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Not to hang on a fifo that took a file's place.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// The directory.
pub struct Disk {
    root: OwnedFd,
    path: PathBuf,
    followed: BTreeMap<RelPath, Place>,
}

/// Where a first-level link leads.
struct Place {
    dir: OwnedFd,
    path: PathBuf,
    name: Vec<u8>,
}

/// A name in an open directory.
pub struct Location {
    pub dir: OwnedFd,
    pub name: Vec<u8>,
    /// What the directory is called towards the operator, with a slash at its end; empty for the root.
    shown_dir: String,
}

/// What a walk to a path met.
pub enum Walked {
    /// Its directory is there.
    At(Location),
    /// Its directory is not there.
    Missing,
    /// What should be a directory on the way is none.
    Blocked(RelPath),
}

/// What is at a location.
pub enum Found {
    Missing,
    Dir(Stat),
    File(Stat),
    /// A link and its text.
    Link(Stat, Vec<u8>),
    Other(Stat),
}

impl Disk {
    /// Opens a deployment's directory.
    pub fn open(root: &Path) -> Result<Self> {
        let what = || format!("the deployment's directory {}", root.display());
        let path = std::fs::canonicalize(root).with_context(what)?;
        let root = rustix::fs::open(&path, DIRECTORY, Mode::empty()).with_context(what)?;
        Ok(Self { root, path, followed: BTreeMap::new() })
    }

    /// The directory's own path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From now on the first-level link `top` is followed to where it leads.
    pub fn follow(&mut self, top: &RelPath) -> Result<()> {
        let link = top.at(&self.path);
        let what = || format!("following the link {}", link.display());
        let real = std::fs::canonicalize(&link).with_context(what)?;
        let dir = real.parent().with_context(what)?;
        let name = real.file_name().with_context(what)?.as_bytes().to_vec();
        let place = Place {
            dir: rustix::fs::open(dir, DIRECTORY, Mode::empty()).with_context(what)?,
            path: dir.to_owned(),
            name,
        };
        self.followed.insert(top.clone(), place);
        Ok(())
    }

    /// Goes to a path. Links on the way are not followed; `through`, if given, is the one that is.
    pub fn walk(&self, path: &RelPath, through: Option<&RelPath>) -> Result<Walked> {
        let top = path.top();
        let place = self.followed.get(&top);
        let (start, first) = match place {
            Some(place) => (&place.dir, place.name.as_slice()),
            None => (&self.root, top.bytes()),
        };
        let mut dir = start.try_clone().context("walking the deployment's directory")?;
        let mut name = first.to_vec();
        let mut here = top;
        for part in path.parts().skip(1) {
            let nofollow = if through == Some(&here) { OFlags::empty() } else { OFlags::NOFOLLOW };
            let next =
                rustix::fs::openat(&dir, name.as_slice(), DIRECTORY | nofollow, Mode::empty());
            dir = match next {
                Ok(dir) => dir,
                Err(Errno::NOENT) => return Ok(Walked::Missing),
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Walked::Blocked(here)),
                Err(e) => return Err(anyhow!(e).context(format!("entering {here}"))),
            };
            name = part.to_vec();
            here = here.join(part);
        }
        let shown_dir = match (place, path.parent()) {
            (_, Some(parent)) => format!("{parent}/"),
            (Some(place), None) => format!("{}/", shown(place.path.as_os_str().as_bytes())),
            (None, None) => String::new(),
        };
        Ok(Walked::At(Location { dir, name, shown_dir }))
    }

    /// What is at a path, links not followed; missing too if its directory is.
    pub fn look(&self, path: &RelPath) -> Result<Found> {
        match self.walk(path, None)? {
            Walked::At(location) => location.look(),
            Walked::Missing | Walked::Blocked(_) => Ok(Found::Missing),
        }
    }
}

impl Location {
    /// The location as the operator would name it.
    pub fn shown(&self) -> String {
        self.shown_beside(&self.name)
    }

    /// Another name in the same directory as the operator would name it.
    pub fn shown_beside(&self, name: &[u8]) -> String {
        format!("{}{}", self.shown_dir, shown(name))
    }

    /// What is here.
    pub fn look(&self) -> Result<Found> {
        let name = self.name.as_slice();
        let what = || format!("looking at {}", self.shown());
        let stat = match rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Found::Missing),
            Err(e) => return Err(anyhow!(e).context(what())),
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Found::Dir(stat),
            FileType::RegularFile => Found::File(stat),
            FileType::Symlink => {
                let target =
                    rustix::fs::readlinkat(&self.dir, name, Vec::new()).with_context(what)?;
                Found::Link(stat, target.into_bytes())
            }
            _ => Found::Other(stat),
        })
    }

    /// Opens the file that is here to read it; none if it is no file. A link is followed only if
    /// `through` is true.
    pub fn read(&self, through: bool) -> io::Result<Option<File>> {
        let nofollow = if through { OFlags::empty() } else { OFlags::NOFOLLOW };
        let fd =
            rustix::fs::openat(&self.dir, self.name.as_slice(), READ | nofollow, Mode::empty());
        let file = match fd {
            Ok(fd) => File::from(fd),
            // A dangling link, or a socket.
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::NODEV) if through => {
                return Ok(None);
            }
            Err(e) => return Err(e.into()),
        };
        Ok(if file.metadata()?.is_file() { Some(file) } else { None })
    }

    /// Opens the directory that is here.
    pub fn open_dir(&self) -> Result<OwnedFd> {
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        rustix::fs::openat(&self.dir, self.name.as_slice(), flags, Mode::empty())
            .with_context(|| format!("entering {}", self.shown()))
    }
}

impl Found {
    /// What it is, in words.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Missing => "nothing",
            Self::Dir(_) => "a directory",
            Self::File(_) => "a file",
            Self::Link(..) => "a link",
            Self::Other(_) => "a special file",
        }
    }

    /// Its owner and group, if there is anything.
    pub fn owner(&self) -> Option<(u32, u32)> {
        match self {
            Self::Missing => None,
            Self::Dir(stat) | Self::File(stat) | Self::Link(stat, _) | Self::Other(stat) => {
                Some((stat.st_uid, stat.st_gid))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn links_below_the_first_level_are_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        let disk_dir = dir.path().join("deploy");
        std::fs::create_dir_all(disk_dir.join("real/sub")).unwrap();
        std::fs::create_dir_all(dir.path().join("other/sub")).unwrap();
        std::fs::write(dir.path().join("other/sub/f"), "x").unwrap();
        symlink(dir.path().join("other"), disk_dir.join("top")).unwrap();
        symlink(dir.path().join("other/sub"), disk_dir.join("real/link")).unwrap();
        let mut disk = Disk::open(&disk_dir).unwrap();
        let blocked = |disk: &Disk, at: &str| match disk.walk(&path(at), None).unwrap() {
            Walked::Blocked(at) => Some(at),
            _ => None,
        };
        assert_eq!(blocked(&disk, "real/link/f"), Some(path("real/link")));
        assert_eq!(blocked(&disk, "top/sub/f"), Some(path("top")));
        assert!(matches!(disk.walk(&path("real/none/f"), None).unwrap(), Walked::Missing));
        disk.follow(&path("top")).unwrap();
        assert!(matches!(disk.look(&path("top/sub/f")).unwrap(), Found::File(_)));
        let through = path("real/link");
        let Walked::At(location) = disk.walk(&path("real/link/f"), Some(&through)).unwrap() else {
            panic!("the one link named is followed");
        };
        assert!(matches!(location.look().unwrap(), Found::File(_)));
    }
}
