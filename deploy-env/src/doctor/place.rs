//! The deployment's directory, and the commands that an operator types about it.

use pipe_kit::tool::Tool;
use std::path::{Path, PathBuf};

/// A deployment's directory, as commands name it.
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// That of a deployment.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A path in it, in a shell's quotes.
    pub fn quoted(&self, name: &str) -> String {
        quoted(&self.path(name))
    }

    /// Opens the settings in an editor: for what only the operator knows.
    pub fn edit(&self) -> String {
        format!("${{EDITOR:-vi}} {}", self.quoted(".env"))
    }

    /// Runs one of the scripts.
    pub fn script(&self, name: &str, arguments: &[&str]) -> String {
        let script = self.dir.join("scripts").join(name);
        Tool::new("bash").arg(script).args(arguments).to_shell()
    }

    /// Runs a program with the deployment's settings.
    pub fn with_settings<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> String {
        let own = self.dir.join("bin/deploy-env");
        let tool = match own.is_file() {
            true => Tool::new(own),
            false => Tool::new("deploy-env").arg("--deploy").arg(&self.dir),
        };
        tool.arg("--").args(words).to_shell()
    }

    /// Installs the toolkit again: the package, where its programs are linked into the deployment, else `install.sh`
    /// of the toolkit's sources.
    pub fn install(&self, options: &[&str]) -> String {
        let tool = match self.dir.join("bin").is_symlink() {
            true => Tool::new("piprio-backup").arg("install"),
            false => Tool::new("scripts/install.sh"),
        };
        tool.args(options).arg(&self.dir).to_shell()
    }
}

/// A path in a shell's quotes.
pub fn quoted(path: &Path) -> String {
    shell_words::quote(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_a_blank_is_quoted() {
        let place = Place::new("/srv/my deploy".as_ref());
        assert_eq!(place.edit(), "${EDITOR:-vi} '/srv/my deploy/.env'");
        assert_eq!(
            place.script("ship.sh", &["--newest"]),
            "bash '/srv/my deploy/scripts/ship.sh' --newest"
        );
        assert_eq!(
            place.with_settings(&["pg-snap", "status"]),
            "deploy-env --deploy '/srv/my deploy' -- pg-snap status"
        );
        assert_eq!(place.install(&["--cron"]), "scripts/install.sh --cron '/srv/my deploy'");
    }

    #[test]
    fn where_a_package_is_linked_it_is_the_package_that_is_installed_again() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/usr/libexec/piprio-backup", dir.path().join("bin")).unwrap();
        let expected = format!("piprio-backup install --timer {}", dir.path().display());
        assert_eq!(Place::new(dir.path()).install(&["--timer"]), expected);
    }
}
