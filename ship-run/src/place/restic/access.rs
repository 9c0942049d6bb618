//! How a repository is reached: all that is secret goes into the child's environment alone.

use crate::place::bucket;
use anyhow::{Context, Result};
use pipe_kit::Stop;
use pipe_kit::tool::Tool;
use std::path::Path;
use std::process::{Command, Stdio};

/// The program.
pub const PROGRAM: &str = "restic";
/// Variables that steer restic, and may be of another repository here.
const VARIABLES: [&str; 6] = [
    "RESTIC_REPOSITORY",
    "RESTIC_REPOSITORY_FILE",
    "RESTIC_PASSWORD",
    "RESTIC_PASSWORD_COMMAND",
    "RESTIC_PASSWORD_FILE",
    "RESTIC_KEY_HINT",
];
/// Where restic keeps its cache, by one of them.
const OF_CACHE: [&str; 3] = ["HOME", "XDG_CACHE_HOME", "RESTIC_CACHE_DIR"];

/// Where the settings of a repository come from.
pub enum Access {
    /// Settings of a destination. The values of `files` are read when they are needed.
    Own {
        number: u8,
        variables: Vec<(&'static str, String)>,
        files: Vec<(&'static str, String)>,
        ca_bundle: Option<String>,
    },
    /// The environment, and what of it is given otherwise.
    Environment { variables: Vec<(&'static str, String)> },
}

impl Access {
    /// The settings of a destination.
    ///
    /// # Errors
    /// Why they are not enough.
    pub fn own(
        repository: &str,
        number: u8,
        own: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        if let Some(wrong) =
            ["ENDPOINT", "RETAIN_DAYS", "RETAIN_MODE"].iter().find(|s| own(s).is_some())
        {
            return Err(format!(
                "SHIP_{number}_{wrong} is for s3://; a restic repository names its server itself, and locks nothing"
            ));
        }
        let password = own("PASSWORD_FILE").ok_or_else(|| {
            format!(
                "SHIP_{number}_PASSWORD_FILE is not set: the file with the repository's password"
            )
        })?;
        let mut variables =
            vec![("RESTIC_REPOSITORY", repository.to_owned()), ("RESTIC_PASSWORD_FILE", password)];
        let plain = [
            ("REGION", "AWS_DEFAULT_REGION"),
            ("PROFILE", "AWS_PROFILE"),
            ("ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            ("SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
        ];
        let files = [
            ("ACCESS_KEY_FILE", "AWS_ACCESS_KEY_ID"),
            ("SECRET_KEY_FILE", "AWS_SECRET_ACCESS_KEY"),
        ];
        let take = |(suffix, name): (&str, &'static str)| Some((name, own(suffix)?));
        variables.extend(plain.into_iter().filter_map(take));
        let files = files.into_iter().filter_map(take).collect();
        Ok(Self::Own { number, variables, files, ca_bundle: own("CA_BUNDLE") })
    }

    /// The environment. An empty `repository` is that of the environment too.
    ///
    /// # Errors
    /// [`Stop::usage`] if it lacks the repository, or the password.
    pub fn of_environment(repository: &str, password_file: Option<&Path>) -> Result<Self> {
        let is_set = |names: &[&str]| {
            names.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        };
        let mut variables = Vec::new();
        if !repository.is_empty() {
            variables.push(("RESTIC_REPOSITORY", repository.to_owned()));
        } else if !is_set(&VARIABLES[..2]) {
            let why =
                "no repository is named; write restic:REPOSITORY:BUNDLE, or set RESTIC_REPOSITORY";
            return Err(Stop::usage(why).into());
        }
        if let Some(file) = password_file {
            variables.push(("RESTIC_PASSWORD_FILE", file.display().to_string()));
        } else if !is_set(&VARIABLES[2..5]) {
            let why = "the repository's password is missing: give --passphrase-file FILE, or set RESTIC_PASSWORD_FILE";
            return Err(Stop::usage(why).into());
        }
        Ok(Self::Environment { variables })
    }

    /// `restic` with these settings.
    ///
    /// # Errors
    /// [`Stop::refused`] if it is not installed; if a key cannot be read.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        require_program()?;
        let mut command = Command::new(PROGRAM);
        // Snapshots are dated by the names of bundles, which are UTC.
        command.stdin(Stdio::null()).env("TZ", "UTC").env("RESTIC_PROGRESS_FPS", "1");
        if OF_CACHE.iter().all(|name| std::env::var_os(name).is_none_or(|dir| dir.is_empty())) {
            command.arg("--no-cache");
        }
        match self {
            Self::Own { number, variables, files, ca_bundle } => {
                for name in VARIABLES.iter().chain(&bucket::VARIABLES) {
                    command.env_remove(name);
                }
                command.envs(variables.iter().map(|(name, value)| (name, value)));
                for (name, path) in files {
                    let text = std::fs::read_to_string(path)
                        .with_context(|| format!("reading a key of SHIP_{number} from {path}"))?;
                    command.env(name, text.trim_end_matches(['\r', '\n']));
                }
                if let Some(file) = ca_bundle {
                    command.arg("--cacert").arg(file);
                }
            }
            Self::Environment { variables } => {
                let is_given = |given: &str| variables.iter().any(|(name, _)| *name == given);
                if is_given("RESTIC_REPOSITORY") {
                    command.env_remove("RESTIC_REPOSITORY_FILE");
                }
                if is_given("RESTIC_PASSWORD_FILE") {
                    command.env_remove("RESTIC_PASSWORD").env_remove("RESTIC_PASSWORD_COMMAND");
                }
                command.envs(variables.iter().map(|(name, value)| (name, value)));
            }
        }
        command.args(arguments);
        Ok(command)
    }

    /// The program with the repository and its password file, as it is typed, but without the password that the
    /// repository's URL may hold.
    pub fn shown(&self) -> String {
        let (Self::Own { variables, .. } | Self::Environment { variables }) = self;
        let option = |option: &'static str, name: &str| {
            let value = variables.iter().find(|(of, _)| *of == name);
            value.into_iter().flat_map(move |(_, value)| [option.to_owned(), self.mask(value)])
        };
        let repository = option("-r", "RESTIC_REPOSITORY");
        let arguments = repository.chain(option("-p", "RESTIC_PASSWORD_FILE"));
        Tool::new(PROGRAM).args(arguments).to_shell()
    }

    /// A line without the password that the repository's URL may hold.
    pub fn mask(&self, line: &str) -> String {
        let (Self::Own { variables, .. } | Self::Environment { variables }) = self;
        let own = variables.iter().find(|(name, _)| *name == "RESTIC_REPOSITORY");
        let repository = match own {
            Some((_, repository)) => repository.clone(),
            None => std::env::var("RESTIC_REPOSITORY").unwrap_or_default(),
        };
        let password = repository
            .split_once("://")
            .and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'))
            .and_then(|(user, _)| Some(user.split_once(':')?.1))
            .filter(|password| !password.is_empty());
        password.map_or_else(|| line.to_owned(), |password| line.replace(password, "***"))
    }
}

fn require_program() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).any(|dir| dir.join(PROGRAM).is_file()) {
        true => Ok(()),
        false => Err(Stop::refused("restic is not installed: apt-get install restic").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(repository: &str, settings: &[(&str, &str)]) -> Result<Access, String> {
        Access::own(repository, 3, &|suffix| {
            settings.iter().find(|(name, _)| *name == suffix).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_a_repository_does_not_have_is_named() {
        assert!(own("/r", &[]).err().unwrap().contains("SHIP_3_PASSWORD_FILE"));
        for wrong in ["ENDPOINT", "RETAIN_DAYS", "RETAIN_MODE"] {
            let why = own("/r", &[("PASSWORD_FILE", "/p"), (wrong, "1")]).err().unwrap();
            assert!(why.starts_with(&format!("SHIP_3_{wrong} is for s3://")), "{why}");
        }
        assert!(own("/r", &[("PASSWORD_FILE", "/p")]).is_ok());
    }

    #[test]
    fn the_password_of_a_url_is_in_no_message() {
        let access = own("rest:https://u:hunter2@h/r", &[("PASSWORD_FILE", "/p")]).unwrap();
        assert_eq!(access.mask("https://u:hunter2@h/r: no"), "https://u:***@h/r: no");
        assert_eq!(access.shown(), "restic -r 'rest:https://u:***@h/r' -p /p");
        let without = own("/srv/r", &[("PASSWORD_FILE", "/p")]).unwrap();
        assert_eq!(without.mask("/srv/r: no"), "/srv/r: no");
    }
}
