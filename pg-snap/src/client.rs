//! Finds PostgreSQL's own clients, and chooses among them.

use crate::version::Version;
use anyhow::{Context, Result, bail};
use pipe_kit::child;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the clients run: here, or behind a prefix such as `docker exec -i postgres`.
pub struct Clients {
    prefix: Vec<String>,
}

/// A client program, with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    path: PathBuf,
    /// Of the client, not of the server. Unknown, 0.0, of a psql behind a prefix, until its first session.
    pub version: Version,
    prefix: Vec<String>,
}

impl Clients {
    /// `exec` is a command line in shell quoting that is put before every client call.
    ///
    /// # Errors
    /// A usage error if its quoting is broken.
    pub fn new(exec: Option<&str>) -> Result<Self> {
        let prefix = shell_words::split(exec.unwrap_or_default())
            .map_err(|e| pipe_kit::Stop::usage(format!("--exec: {e}")))?;
        Ok(Self { prefix })
    }

    /// The newest psql: it reads what every pg_dump has written.
    pub fn psql(&self) -> Result<Client> {
        if self.have_prefix() {
            // Its first session reports the version: one start less, which takes a tenth of a second in a container.
            return Ok(self.behind_prefix("psql"));
        }
        self.find("psql")?.into_iter().max_by_key(|c| c.version).with_context(|| {
            format!("no psql found {}; install postgresql-client", self.where_looked())
        })
    }

    /// Every pg_dump, for [`Clients::pg_dump`].
    pub fn pg_dumps(&self) -> Result<Vec<Client>> {
        self.find("pg_dump")
    }

    /// Of those found, the pg_dump of the server's major; if there is none, the nearest newer one.
    pub fn pg_dump(&self, found: &[Client], server: Version) -> Result<Client> {
        match choose_pg_dump(found, server) {
            Some(client) => {
                if client.version.major != server.major {
                    pipe_kit::info!(
                        "no pg_dump {} found; using pg_dump {} ({}) for PostgreSQL {server}",
                        server.major,
                        client.version,
                        client.path.display()
                    );
                }
                Ok(client.clone())
            }
            None if found.is_empty() => bail!(
                "no pg_dump found {}; the server is PostgreSQL {server}; install postgresql-client-{}",
                self.where_looked(),
                server.major
            ),
            None => {
                let have: Vec<String> =
                    found.iter().map(|c| format!("{} ({})", c.version, c.path.display())).collect();
                bail!(
                    "the server is PostgreSQL {server}, but every pg_dump found is older: {}; install postgresql-client-{}",
                    have.join(", "),
                    server.major
                )
            }
        }
    }

    /// Whether the clients run behind a prefix, that is, on the host of the server.
    pub fn have_prefix(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// Another program, run where the clients are.
    pub fn beside(&self, program: &str) -> Command {
        prefixed(&self.prefix, program.as_ref())
    }

    fn where_looked(&self) -> String {
        match self.prefix.is_empty() {
            true => "on PATH or in /usr/lib/postgresql/*/bin".into(),
            false => format!("behind '{}'", shell_words::join(&self.prefix)),
        }
    }

    fn behind_prefix(&self, program: &str) -> Client {
        let version = Version { major: 0, minor: 0 };
        Client { path: program.into(), version, prefix: self.prefix.clone() }
    }

    fn find(&self, program: &str) -> Result<Vec<Client>> {
        if !self.prefix.is_empty() {
            let client = self.behind_prefix(program);
            let banner = child::capture(
                // Behind `docker exec -i`, even this would swallow a dump on our stdin.
                client.command().arg("--version").stdin(Stdio::null()),
                format!("{program} behind '{}'", shell_words::join(&self.prefix)),
            )?;
            let version = Version::from_banner(&banner).with_context(|| {
                format!("{program} --version printed no version: '{}'", banner.trim())
            })?;
            return Ok(vec![Client { version, ..client }]);
        }
        // At the same time: a wrapper in front of a client takes longer than the client.
        Ok(std::thread::scope(|scope| {
            let probes: Vec<_> = candidates(program)
                .into_iter()
                .map(|path| scope.spawn(|| probe_version(path)))
                .collect();
            probes.into_iter().filter_map(|probe| probe.join().ok().flatten()).collect()
        }))
    }
}

/// A file of that name that prints no version is not a client of PostgreSQL.
fn probe_version(path: PathBuf) -> Option<Client> {
    let banner = child::capture(
        Command::new(&path).arg("--version").stdin(Stdio::null()),
        "asking for its version",
    )
    .ok()?;
    Version::from_banner(&banner).map(|version| Client { path, version, prefix: Vec::new() })
}

fn candidates(program: &str) -> BTreeSet<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(majors) = std::fs::read_dir("/usr/lib/postgresql") {
        dirs.extend(majors.flatten().map(|major| major.path().join("bin")));
    }
    programs_in(dirs, program)
}

/// If `/bin` is a link to `/usr/bin`, lists each program once. Links to programs are not resolved: a
/// program may depend on the name it is called by.
fn programs_in(dirs: Vec<PathBuf>, program: &str) -> BTreeSet<PathBuf> {
    let dirs: BTreeSet<PathBuf> = dirs.iter().filter_map(|dir| dir.canonicalize().ok()).collect();
    dirs.into_iter().map(|dir| dir.join(program)).filter(|file| file.is_file()).collect()
}

fn prefixed(prefix: &[String], program: &Path) -> Command {
    match prefix.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        None => Command::new(program),
    }
}

fn choose_pg_dump(found: &[Client], server: Version) -> Option<&Client> {
    let same = found.iter().filter(|c| c.version.major == server.major);
    let newer = || found.iter().filter(|c| c.version.major > server.major);
    same.max_by_key(|c| c.version)
        .or_else(|| newer().min_by_key(|c| (c.version.major, std::cmp::Reverse(c.version.minor))))
}

impl Client {
    pub fn of_version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// The program of that name that came with this one.
    pub fn sibling(&self, program: &str) -> Self {
        Self { path: self.path.with_file_name(program), ..self.clone() }
    }

    /// The program of that name that came with this one, if it is there and of the same version.
    pub fn same_release(&self, program: &str) -> Option<Self> {
        let sibling = self.sibling(program);
        let mut command = sibling.command();
        let banner = child::capture(command.arg("--version").stdin(Stdio::null()), program).ok()?;
        (Version::from_banner(&banner) == Some(self.version)).then_some(sibling)
    }

    /// The command line up to the program, to add arguments to. It never asks for a password.
    pub fn command(&self) -> Command {
        let mut command = prefixed(&self.prefix, &self.path);
        // Its own messages are in English, like ours.
        if let Some(locale) = std::env::var_os("LC_ALL") {
            command.env_remove("LC_ALL").env("LC_CTYPE", locale);
        }
        command.env("LC_MESSAGES", "C").env_remove("LANGUAGE");
        if std::env::var_os("PGAPPNAME").is_none() {
            command.env("PGAPPNAME", "pg-snap");
        }
        if std::env::var_os("PGCONNECT_TIMEOUT").is_none() {
            command.env("PGCONNECT_TIMEOUT", "10");
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(major: u32, minor: u32) -> Client {
        Client {
            path: format!("/{major}.{minor}").into(),
            version: Version { major, minor },
            prefix: Vec::new(),
        }
    }

    #[test]
    fn a_program_below_two_names_of_one_directory_is_one_and_keeps_the_name_it_is_called_by() {
        let dir = tempfile::tempdir().unwrap();
        let (usr, bin) = (dir.path().join("usr"), dir.path().join("bin"));
        std::fs::create_dir(&usr).unwrap();
        std::fs::write(usr.join("wrapper"), "").unwrap();
        std::os::unix::fs::symlink("wrapper", usr.join("psql")).unwrap();
        std::os::unix::fs::symlink("usr", &bin).unwrap();
        let found = programs_in(vec![bin, usr.clone(), dir.path().join("none")], "psql");
        assert_eq!(Vec::from_iter(found), [usr.canonicalize().unwrap().join("psql")]);
    }

    #[test]
    fn the_servers_own_major_is_preferred_then_the_nearest_newer_never_an_older() {
        let server = Version { major: 15, minor: 3 };
        let all = [client(13, 9), client(15, 2), client(15, 18), client(16, 2), client(18, 4)];
        let pick = |found: &[Client]| choose_pg_dump(found, server).map(|c| c.version.to_string());
        assert_eq!(pick(&all).as_deref(), Some("15.18"));
        assert_eq!(pick(&[all[4].clone(), all[3].clone()]).as_deref(), Some("16.2"));
        assert_eq!(pick(&all[..1]), None);
        assert_eq!(pick(&[]), None);
    }
}
