//! Where the package has put its files.

use anyhow::{Context, Result};
use pipe_kit::Stop;
use std::path::{Path, PathBuf};

/// The directory of the programs and that of the scripts.
pub struct Place {
    /// This file, by its name without links.
    pub program: PathBuf,
    /// The scripts, or where they would be.
    pub scripts: PathBuf,
}

impl Place {
    /// Where this process's file is: the programs are beside it, the scripts below `../../share`.
    ///
    /// # Errors
    /// If the path of this process's file is not known.
    pub fn of_this_file() -> Result<Self> {
        let program = std::env::current_exe().context("the path of this program")?;
        let prefix = program.ancestors().nth(3).unwrap_or(Path::new("/"));
        let scripts = prefix.join("share/piprio-backup/scripts");
        Ok(Self { program, scripts })
    }

    /// The directory of the programs.
    pub fn programs(&self) -> &Path {
        self.program.parent().unwrap_or(Path::new("/"))
    }

    /// The path of a script.
    ///
    /// # Errors
    /// [`Stop::usage`] if the scripts are not installed.
    pub fn script(&self, name: &str) -> Result<PathBuf> {
        let path = self.scripts.join(format!("{name}.sh"));
        match path.is_file() {
            true => Ok(path),
            false => Err(Stop::usage(format!(
                "there is no {}: {name} needs the package, or DIR/scripts/{name}.sh of a deployment that \
                 install.sh made",
                path.display()
            ))
            .into()),
        }
    }
}
