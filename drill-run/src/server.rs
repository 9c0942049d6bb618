//! The private PostgreSQL of a drill: a server of its own that listens on a Unix socket alone, in a directory that
//! nobody else can enter, and of which nothing is left.

mod account;
mod bounded;
mod container;
mod engine;
mod image;
mod local;
mod memory;
mod processes;
mod programs;
mod record;
mod removal;
mod request;
mod room;
mod settings;
mod socket;
#[cfg(test)]
pub mod tests;
mod undo;
mod version;

pub use request::{Preference, ServerRequest};

use account::Account;
use anyhow::{Context, Result};
use container::Container;
use image::Image;
use local::Local;
use pipe_kit::Stop;
use pipe_kit::tool::Tool;
use programs::Programs;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use undo::Undo;

/// A private server. Dropped, it is stopped and removed, and so it is on a signal.
pub struct PrivateServer {
    dir: PathBuf,
    place: Place,
    version: String,
    source: String,
    has_own_network: bool,
    undo: Undo,
}

/// Where the server runs.
enum Place {
    /// Here, with its socket in this directory.
    Host { socket: String, programs: PathBuf },
    /// In the container of the drill's directory.
    Container,
}

/// The programs that serve.
enum Source {
    Host { account: Account, programs: Programs },
    Image(Image),
}

impl PrivateServer {
    /// Starts one.
    ///
    /// The thread that calls this must live as long as the server: the kernel stops the server when that thread
    /// ends.
    ///
    /// # Errors
    /// [`Stop::refused`] if no programs serve, or there is no room; nothing is left then, nor after any other error.
    pub fn start(request: &ServerRequest<'_>) -> Result<Self> {
        let dir = request.dir;
        let dir = dir.canonicalize().with_context(|| format!("looking for {}", dir.display()))?;
        let source = Source::choose(request)?;
        source.require_room(request)?;
        let undo = Undo::new(&dir);
        let name = source.name();
        let (place, version, has_own_network) = match source {
            Source::Host { account, programs } => {
                let (bytes, keep) = (request.bytes, request.keep);
                let it = Local { dir: &dir, bytes, account: &account, programs: &programs, keep };
                let (socket, has_own_network) = it.start(&undo)?;
                let socket = socket.to_string_lossy().into_owned();
                let place = Place::Host { socket, programs: programs.dir };
                (place, programs.version, has_own_network)
            }
            Source::Image(image) => {
                let (bytes, major) = (request.bytes, request.major);
                let it = Container { dir: &dir, bytes, major, image: &image };
                (Place::Container, it.start(&undo)?, true)
            }
        };
        let version = version.to_string();
        Ok(Self { dir, place, version, source: name, has_own_network, undo })
    }

    /// A program that is a client of the server, with the variables of [`PrivateServer::environment`] and without
    /// any other that leads to a database.
    pub fn tool(&self, program: &str, database: &str) -> Tool {
        let names = std::env::vars_os().map(|(name, _)| name);
        let foreign = names.filter(|name| name.as_encoded_bytes().starts_with(b"PG"));
        Tool::new(program).env_remove(foreign).envs(self.environment(database))
    }

    /// The variables of a client: `PGHOST`, `PGPORT`, `PGUSER`, `PGDATABASE`; `PATH` with the server's own clients
    /// last; `PG_SNAP_EXEC` where clients must run with the server. All other `PG…` must be unset.
    pub fn environment(&self, database: &str) -> Vec<(String, String)> {
        let host = match &self.place {
            Place::Host { socket, .. } => socket.clone(),
            Place::Container => container::data(&self.dir),
        };
        let mut all = vec![
            ("PGHOST".to_owned(), host),
            ("PGPORT".to_owned(), settings::PORT.to_string()),
            ("PGUSER".to_owned(), settings::SUPERUSER.to_owned()),
            ("PGDATABASE".to_owned(), database.to_owned()),
        ];
        match &self.place {
            Place::Host { programs, .. } => all.extend(path_with(programs)),
            Place::Container => {
                all.push(("PG_SNAP_EXEC".to_owned(), container::exec_prefix(&self.dir)));
            }
        }
        all
    }

    /// The server's release, such as `15.20`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether it has a network of its own, in which nothing can be reached. Without one, code of the dump can connect
    /// to whatever this host can.
    pub fn has_own_network(&self) -> bool {
        self.has_own_network
    }

    /// The directory of its programs, or `image NAME`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Stops it at once, and removes all of it.
    ///
    /// # Errors
    /// If something of it is left.
    pub fn stop(self) -> Result<()> {
        self.undo.now().with_context(|| {
            let dir = self.dir.display();
            format!("the private server in {dir} is not removed; the next drill removes it")
        })
    }

    /// Leaves it running. It ends with this process, unless it was asked for with [`ServerRequest::keep`].
    pub fn keep(self) {
        self.undo.disarm();
    }

    /// How to connect to it while it runs, and how to remove it: two commands, a line each.
    pub fn connect_hint(&self) -> String {
        let quote = |text: &str| shell_words::quote(text).into_owned();
        let dir = quote(&self.dir.to_string_lossy());
        let (port, user) = (settings::PORT, settings::SUPERUSER);
        match &self.place {
            Place::Host { socket, .. } => {
                // Its id may be another's by now: a server that was kept may have ended long ago.
                let short = record::Record::read(&self.dir).unwrap_or_default().short;
                let short = short.map(|path| format!(" {}", quote(&path.to_string_lossy())));
                let pid_file =
                    quote(&record::data(&self.dir).join("postmaster.pid").to_string_lossy());
                format!(
                    "psql -h {} -p {port} -U {user} -l\n\
                     pid=$(head -n 1 {pid_file}); \
                     while grep -aqsF -e {} \"/proc/$pid/cmdline\"; do \
                     kill -QUIT \"$pid\" || :; sleep 0.1; done; rm -r {dir}{}\n",
                    quote(socket),
                    quote(&record::mark(&self.dir)),
                    short.unwrap_or_default()
                )
            }
            Place::Container => {
                let name = engine::name(&self.dir);
                format!(
                    "docker exec -it {name} psql -h {} -p {port} -U {user} -l\n\
                     docker rm -f -v {name} && docker volume rm {name} && rm -r {dir}\n",
                    container::data(&self.dir)
                )
            }
        }
    }
}

/// Removes what a killed drill has left of a server in its directory: processes, container, volume, the directory
/// with a short name, and the server's files. The directory itself stays.
///
/// # Errors
/// If something is left.
pub fn remove_leftover(dir: &Path) -> Result<()> {
    removal::remove(dir)
}

/// What would be started, for a dry run: nothing is created, and the directory need not exist.
///
/// # Errors
/// [`Stop::refused`] if no programs serve, or there is no room.
pub fn plan(request: &ServerRequest<'_>) -> Result<String> {
    let source = Source::choose(request)?;
    source.require_room(request)?;
    let dir = request.dir.display();
    Ok(match &source {
        Source::Host { account, programs } => {
            let (version, user) = (&programs.version, account.describe());
            format!("PostgreSQL {version} of {}{user}, in {dir}", programs.dir.display())
        }
        Source::Image(image) => {
            format!("PostgreSQL of the image {}, in a container without network", image.name)
        }
    })
}

impl Source {
    fn choose(request: &ServerRequest<'_>) -> Result<Self> {
        let major = request.major;
        let host = match request.source {
            Preference::Image => None,
            Preference::Any => Some(Self::of_host(request)),
        };
        let found = match host {
            Some(Ok(source)) => return Ok(source),
            // A host with containers alone has no such user either, and needs none.
            Some(Err(error)) => Some(error),
            None => None,
        };
        let image = request.service.context("no service of the deployment is its database");
        let image = image.and_then(|service| Image::of_service(request.driver, service));
        image.map(Self::Image).map_err(|error| {
            let found = found.map(|error| format!("{error:#}; and ")).unwrap_or_default();
            Stop::refused(format!(
                "{found}the image of the database's service cannot be used: {error:#}; install the server's \
                 programs, such as the package postgresql-{major}"
            ))
            .into()
        })
    }

    fn of_host(request: &ServerRequest<'_>) -> Result<Self> {
        let account = Account::for_server(request.user)?;
        let installed = Programs::installed(&account);
        let programs = programs::choose(&installed, request.major).cloned();
        let programs = programs.with_context(|| {
            let (major, user) = (request.major, account.describe());
            let list = programs::list(&installed);
            format!("this host has no PostgreSQL {major} or newer to start{user} (found: {list})")
        })?;
        Ok(Self::Host { account, programs })
    }

    /// For an image, the container itself looks for room.
    fn require_room(&self, request: &ServerRequest<'_>) -> Result<()> {
        let Self::Host { .. } = self else { return Ok(()) };
        let place = format!("in {}", request.dir.display());
        let remedy = "make room, or set DRILL_DIR to a directory on another disk";
        room::require(request.bytes, room::free(request.dir)?, &place, remedy)
    }

    fn name(&self) -> String {
        match self {
            Self::Host { programs, .. } => programs.dir.display().to_string(),
            Self::Image(image) => format!("image {}", image.name),
        }
    }
}

/// Clients may be nowhere but beside the server. They are not preferred: the newest reads what any has written.
fn path_with(programs: &Path) -> Option<(String, String)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([programs.to_owned()]);
    let path: Option<OsString> = std::env::join_paths(dirs).ok();
    Some(("PATH".to_owned(), path?.into_string().ok()?))
}
