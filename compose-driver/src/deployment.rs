//! The deployment's directory, which is the Compose project's.

use anyhow::{Context, Result, anyhow};
use pipe_kit::Stop;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

pub struct Deployment {
    dir: PathBuf,
}

impl Deployment {
    /// The directory that `PIPRIO_DEPLOY` names, else the one above the program's own. It becomes the
    /// current directory.
    ///
    /// # Errors
    /// [`Stop::refused`] if it is not a directory.
    pub fn find() -> Result<Self> {
        let dir = Self::named()?;
        std::env::set_current_dir(&dir).map_err(|_| {
            anyhow!(Stop::refused(format!("the deployment {} is not a directory", dir.display())))
        })?;
        Ok(Self { dir })
    }

    /// The path that is meant, whether or not there is a directory.
    ///
    /// # Errors
    /// If the current directory is gone.
    pub fn named() -> Result<PathBuf> {
        let named = std::env::var_os("PIPRIO_DEPLOY").filter(|dir| !dir.is_empty());
        let dir = match named {
            Some(dir) => PathBuf::from(dir),
            None => pipe_kit::own_path().context("the program's own path")?.join("../.."),
        };
        let here = current_dir(std::env::var_os("PWD")).context("the current directory")?;
        Ok(plain(&here.join(dir)))
    }

    /// Another directory, which does not become the current one.
    ///
    /// # Errors
    /// [`Stop::refused`] if it is not a directory.
    pub fn of(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            let shown = dir.display();
            return Err(Stop::refused(format!("the deployment {shown} is not a directory")).into());
        }
        let here = std::env::current_dir().context("the current directory")?;
        Ok(Self { dir: plain(&here.join(dir)) })
    }

    #[cfg(test)]
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Its absolute path, as it was given: where a part of it is a link, Compose notes the link.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether a path, as a container's label has it, is this very directory.
    pub fn is(&self, path: &str) -> bool {
        is_same(Path::new(path), &self.dir)
    }

    /// Whether its path leads through no link.
    pub fn is_real(&self) -> bool {
        self.dir.canonicalize().is_ok_and(|real| real == self.dir)
    }
}

/// Whether two paths lead to one file or directory.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| path.metadata().ok().map(|at| (at.dev(), at.ino()));
    place(one).is_some_and(|at| Some(at) == place(other))
}

/// The current directory by the name that led to it, as a shell's `pwd` prints it: Compose names the project
/// after the last name of the deployment's path.
fn current_dir(pwd: Option<OsString>) -> std::io::Result<PathBuf> {
    let named = pwd.map(PathBuf::from).filter(|dir| dir.is_absolute());
    match named.filter(|dir| is_same(dir, Path::new("."))) {
        Some(dir) => Ok(dir),
        None => std::env::current_dir(),
    }
}

/// The path without `.` and `..`, as a shell's `cd` reads it.
pub fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_known_by_what_it_is_and_not_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("deploy")).unwrap();
        std::os::unix::fs::symlink("deploy", dir.path().join("link")).unwrap();
        let deployment = |name: &str| Deployment::at(&dir.path().join(name));
        let path = |name: &str| dir.path().join(name).display().to_string();
        assert!(deployment("deploy").is(&path("link")) && deployment("link").is(&path("deploy")));
        assert!(!deployment("deploy").is(&path("")) && !deployment("deploy").is(""));
        assert!(!deployment("deploy").is(&path("gone")) && !deployment("gone").is(&path("gone")));
        let real = Deployment::at(&dir.path().canonicalize().unwrap().join("deploy"));
        assert!(real.is_real() && !deployment("link").is_real());
    }

    #[test]
    fn the_current_directory_keeps_the_name_that_led_to_it() {
        let here = std::env::current_dir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&here, &link).unwrap();
        assert_eq!(current_dir(Some(link.clone().into())).unwrap(), link);
        for other in [None, Some(dir.path().into()), Some("link".into()), Some("/gone".into())] {
            assert_eq!(current_dir(other).unwrap(), here);
        }
    }

    #[test]
    fn a_path_is_read_as_by_cd() {
        for (given, expected) in
            [("/a/scripts/drivers/../..", "/a"), ("/a/./b/", "/a/b"), ("/../a", "/a")]
        {
            assert_eq!(plain(Path::new(given)), Path::new(expected));
        }
    }
}
