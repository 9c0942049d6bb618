//! Whom the server runs as: PostgreSQL refuses to run as root.

use super::bounded;
use anyhow::{Context, Result};
use pipe_kit::Stop;
use rustix::process::geteuid;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long `id` may take: the user may be one of a directory service.
const LOOK_UP: Duration = Duration::from_secs(30);
/// How long a program may take that does nothing.
const NOTHING: Duration = Duration::from_secs(10);

/// Starts a program in a network of its own, in which nothing can be reached, not even this host. A socket with a path
/// is in the filesystem, so the server's clients reach it. Root may do so; others may with a user namespace, where the
/// kernel permits that to them. It becomes the program, so the process is the same.
const OWN_NETWORK: [&[&str]; 2] = [
    &["unshare", "--net", "sh", "-c", WITH_LOOPBACK, "sh"],
    &["unshare", "--user", "--map-current-user", "--net"],
];
/// The statistics collector of PostgreSQL 14 and older needs the network's own loopback interface, and autovacuum needs
/// the collector. Without them the server runs too.
const WITH_LOOPBACK: &str = r#"ip link set lo up 2>/dev/null; exec "$@""#;
/// Standard input becomes descriptor 3; see [`super::local`].
const WITH_DIRECTORY: &str = r#"exec 3<&0 </dev/null; exec "$@""#;

/// The user that the server's programs run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name, user id and group id; none if it is our own.
    other: Option<(String, u32, u32)>,
    /// Whether `setpriv` is there and has what is needed.
    has_setpriv: bool,
    /// What gives a program a network of its own; empty where the kernel does not let us.
    own_network: &'static [&'static str],
}

impl Account {
    /// `user` if we are root, else our own.
    ///
    /// # Errors
    /// [`Stop::refused`] if there is no such user, or we may not become it.
    pub fn for_server(user: &str) -> Result<Self> {
        let other = match geteuid().is_root() {
            false => None,
            true => Some((user.to_owned(), id("-u", user)?, id("-g", user)?)),
        };
        if other.as_ref().is_some_and(|(_, uid, _)| *uid == 0) {
            return Err(Stop::refused(format!(
                "PostgreSQL does not run as {user}, whose user id is 0; set DRILL_USER to another user"
            ))
            .into());
        }
        let mut account = Self { other, has_setpriv: true, own_network: &[] };
        let mut nothing = account.command("true", false);
        match (bounded::read(&mut nothing, NOTHING, "setpriv"), &account.other) {
            (Ok(ended), None) => account.has_setpriv = ended.status.success(),
            (Err(_), None) => account.has_setpriv = false,
            (ended, Some(_)) => {
                let ended = ended.and_then(|ended| ended.check("setpriv"));
                ended.map_err(|error| {
                    Stop::refused(format!(
                        "cannot start programs as {user} ({error:#}); install util-linux's setpriv, or run \
                         the drill as {user} or another ordinary user"
                    ))
                })?;
            }
        }
        let is_permitted = |words: &&'static [&'static str]| {
            let candidate = Self { own_network: words, ..account.clone() };
            let mut nothing = candidate.server("true", false);
            let ended = bounded::read(&mut nothing, NOTHING, "unshare");
            ended.is_ok_and(|ended| ended.status.success())
        };
        account.own_network = OWN_NETWORK.into_iter().find(is_permitted).unwrap_or_default();
        Ok(account)
    }

    /// A server as this user: as [`Self::command`], in a network of its own where the kernel lets us.
    pub fn server(&self, program: impl AsRef<OsStr>, outlives: bool) -> Command {
        self.after(self.own_network, program, outlives)
    }

    /// A program as this user, with the directory that is its standard input as descriptor 3. It can gain no
    /// rights. If we are killed, the kernel sends SIGQUIT to it, which stops a server at once; not if it
    /// `outlives` us.
    ///
    /// By `setpriv` rather than the standard library: that sets the ids and drops the groups, but leaves
    /// inheritable capabilities and the chance to regain rights by a set-user-id program, and has no such signal.
    pub fn command(&self, program: impl AsRef<OsStr>, outlives: bool) -> Command {
        self.after(&[], program, outlives)
    }

    fn after(&self, first: &[&str], program: impl AsRef<OsStr>, outlives: bool) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", WITH_DIRECTORY, "sh"]).args(first);
        command.args(self.words(outlives)).arg(program);
        // Our environment has secrets of the deployment, which the server's user may not know.
        const PASSED: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "TZ"];
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        // What the dump's code may connect to without naming a host is not production's server.
        command.env("PGHOST", "/nonexistent");
        command.envs(PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
    }

    fn words(&self, outlives: bool) -> Vec<String> {
        if !self.has_setpriv {
            return Vec::new();
        }
        let mut words = vec!["setpriv".to_owned(), "--no-new-privs".to_owned()];
        if !outlives {
            words.push("--pdeathsig=QUIT".to_owned());
        }
        if let Some((_, uid, gid)) = &self.other {
            words.extend([format!("--reuid={uid}"), format!("--regid={gid}")]);
            words.extend(["--clear-groups", "--inh-caps=-all"].map(str::to_owned));
        }
        words
    }

    /// Gives a directory to this user.
    ///
    /// # Errors
    /// [`Stop::refused`] if the owner cannot be changed.
    pub fn give(&self, path: &Path) -> Result<()> {
        let Some((name, uid, gid)) = &self.other else { return Ok(()) };
        std::os::unix::fs::lchown(path, Some(*uid), Some(*gid)).map_err(|error| {
            let path = path.display();
            Stop::refused(format!(
                "cannot give {path} to {name}, whom the server runs as: {error}; set DRILL_DIR to a directory \
                 on a local disk"
            ))
            .into()
        })
    }

    /// For messages: `as postgres`, or nothing.
    pub fn describe(&self) -> String {
        self.other.as_ref().map(|(name, ..)| format!(" as {name}")).unwrap_or_default()
    }
}

fn id(flag: &str, user: &str) -> Result<u32> {
    let mut command = Command::new("id");
    command.args([flag, "--", user]);
    let ended = bounded::read(&mut command, LOOK_UP, "id")?;
    if !ended.status.success() {
        return Err(Stop::refused(format!(
            "there is no user {user} to run PostgreSQL as, which refuses to run as root; set DRILL_USER to \
             an existing user, or run the drill as an ordinary user"
        ))
        .into());
    }
    ended.text.trim().parse().with_context(|| format!("id {flag} printed {:?}", ended.text))
}
