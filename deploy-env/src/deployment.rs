//! Which directory is the deployment.

use anyhow::{Context, Result, anyhow};
use pipe_kit::Stop;
use std::path::{Component, Path, PathBuf};

/// A deployment's directory, absolute.
#[derive(Debug, Clone)]
pub struct Deployment {
    dir: PathBuf,
}

impl Deployment {
    /// Finds it: as named, else `$PIPRIO_DEPLOY`, else the parent of our own directory.
    ///
    /// # Errors
    /// [`Stop::usage`] if there is none to be found, [`Stop::refused`] if it is not a directory.
    pub fn find(named: Option<&Path>) -> Result<Self> {
        let from_environment =
            || std::env::var_os("PIPRIO_DEPLOY").filter(|v| !v.is_empty()).map(PathBuf::from);
        let dir = match named.map(Path::to_owned).or_else(from_environment) {
            Some(dir) => dir,
            None => beside_us().ok_or_else(|| {
                anyhow!(Stop::usage(
                    "no deployment found: name it with --deploy DIR or PIPRIO_DEPLOY=DIR"
                ))
            })?,
        };
        Self::at(&dir)
    }

    /// A deployment at a directory.
    ///
    /// # Errors
    /// [`Stop::refused`] if it is not a directory; [`Stop::usage`] if its path is not UTF-8.
    pub fn at(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            let message = format!(
                "the deployment {} is not a directory: name another with --deploy DIR",
                dir.display()
            );
            return Err(Stop::refused(message).into());
        }
        // Compose names a project after its directory's last name as spelled, so a link stays a link.
        let dir = if dir.components().any(|c| c == Component::ParentDir) {
            dir.canonicalize()
        } else {
            std::path::absolute(dir).map(|dir| dir.components().collect())
        }
        .with_context(|| format!("finding {}", dir.display()))?;
        if dir.to_str().is_none() {
            let message = format!("the deployment's path {} is not UTF-8", dir.display());
            return Err(Stop::usage(message).into());
        }
        Ok(Self { dir })
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its `.env`.
    pub fn dotenv(&self) -> PathBuf {
        self.dir.join(".env")
    }

    /// A path of a setting: relative ones lie in the deployment.
    pub fn path(&self, value: &str) -> PathBuf {
        self.dir.join(value).components().collect()
    }

    /// The path of a setting as the text that the environment carries.
    pub fn path_text(&self, value: &str) -> String {
        self.path(value).to_string_lossy().into_owned()
    }

    /// Whether a path names the same directory.
    pub fn is(&self, other: &Path) -> bool {
        match (self.dir.canonicalize(), other.canonicalize()) {
            (Ok(ours), Ok(other)) => ours == other,
            _ => false,
        }
    }
}

fn beside_us() -> Option<PathBuf> {
    let program = pipe_kit::own_path().ok()?;
    let parent = program.parent()?.parent()?;
    let is_deployment = parent.join("scripts").is_dir() || parent.join(".env").exists();
    is_deployment.then(|| parent.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_its_name_and_dots_are_resolved() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::os::unix::fs::symlink("real", root.join("deploy")).unwrap();
        assert_eq!(Deployment::at(&root.join("deploy")).unwrap().dir(), root.join("deploy"));
        assert_eq!(Deployment::at(&root.join("real/../real/.")).unwrap().dir(), root.join("real"));
        assert!(Deployment::at(&root.join("deploy")).unwrap().is(&root.join("real")));
        let error = Deployment::at(&root.join("absent")).unwrap_err();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused);
    }

    #[test]
    fn relative_paths_of_settings_lie_in_the_deployment() {
        let root = tempfile::tempdir().unwrap();
        let deployment = Deployment::at(root.path()).unwrap();
        assert_eq!(deployment.path("./backups/"), root.path().join("backups"));
        assert_eq!(deployment.path("/mnt/b"), PathBuf::from("/mnt/b"));
    }
}
