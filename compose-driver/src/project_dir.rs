//! The directory of the Compose project, which Compose notes in the containers: that of the first Compose file. As a
//! rule it is the deployment's own.

use crate::compose::Compose;
use crate::configuration::{self, USUAL};
use crate::deployment::{self, Deployment};
use anyhow::Result;
use pipe_kit::Stop;
use std::path::{Path, PathBuf};

/// The directory of a deployment's project, as Compose knows it.
///
/// # Errors
/// [`Stop::refused`] where that directory is another deployment; if Compose cannot read the `.env`.
pub fn of(compose: &Compose, deployment: &Deployment) -> Result<PathBuf> {
    let named = configuration::named_files(compose, deployment.dir())?;
    let dir = of_files(deployment.dir(), named.first().map(PathBuf::as_path));
    if !is_anothers(&dir, deployment) {
        return Ok(dir);
    }
    Err(Stop::refused(format!(
        "the Compose file of {} lies in {}, which has a .env of its own and so is another deployment: give this \
         one a Compose file in its own directory, or name the other one with PIPRIO_DEPLOY={}",
        deployment.dir().display(),
        dir.display(),
        dir.display()
    ))
    .into())
}

/// The directory of the first Compose file: of the one that is named, else of the nearest with a usual name.
pub fn of_files(deploy: &Path, named: Option<&Path>) -> PathBuf {
    let has_file = |dir: &&Path| USUAL.iter().any(|name| dir.join(name).exists());
    match named {
        Some(file) => deployment::plain(&deploy.join(file).join("..")),
        None => deploy.ancestors().find(has_file).unwrap_or(deploy).to_owned(),
    }
}

/// Whether a directory outside the deployment is a deployment itself. A directory below another deployment, without a
/// Compose file of its own, would be taken for that one by Compose.
pub fn is_anothers(dir: &Path, deployment: &Deployment) -> bool {
    let dotenv = dir.join(".env");
    let is_below = dir.starts_with(deployment.dir());
    !is_below
        && !deployment.is(&dir.to_string_lossy())
        && dotenv.symlink_metadata().is_ok()
        && !deployment::is_same(&dotenv, &deployment.dir().join(".env"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_where_its_first_file_is() {
        let root = tempfile::tempdir().unwrap();
        let deploy = root.path().join("a/deploy");
        std::fs::create_dir_all(&deploy).unwrap();
        let of = |named: Option<&str>| of_files(&deploy, named.map(Path::new));
        assert_eq!(of(Some("compose.yml")), deploy);
        assert_eq!(of(Some("../compose.yml")), root.path().join("a"));
        assert_eq!(of(Some("sub/compose.yml")), deploy.join("sub"));
        assert_eq!(of(Some("/srv/product/compose.yml")), Path::new("/srv/product"));
        assert_eq!(of(None), deploy);
        std::fs::write(root.path().join("docker-compose.yaml"), "").unwrap();
        assert_eq!(of(None), root.path());
        std::fs::write(root.path().join("a/compose.yml"), "").unwrap();
        assert_eq!(of(None), root.path().join("a"));
        std::fs::write(deploy.join("docker-compose.yml"), "").unwrap();
        assert_eq!(of(None), deploy);
    }

    #[test]
    fn a_directory_with_a_dotenv_of_its_own_is_another_deployment() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("deploy");
        std::fs::create_dir_all(dir.join("sub")).unwrap();
        let deployment = Deployment::at(&dir);
        let write = |dir: &Path| std::fs::write(dir.join(".env"), "").unwrap();
        write(&dir);
        write(&dir.join("sub"));
        assert!(!is_anothers(root.path(), &deployment));
        assert!(!is_anothers(&dir, &deployment) && !is_anothers(&dir.join("sub"), &deployment));
        let outside = root.path().join(".env");
        std::os::unix::fs::symlink("deploy/.env", &outside).unwrap();
        assert!(!is_anothers(root.path(), &deployment));
        std::fs::remove_file(&outside).unwrap();
        write(root.path());
        assert!(is_anothers(root.path(), &deployment));
    }
}
