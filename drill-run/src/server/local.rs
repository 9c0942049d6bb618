//! A private server of this host's programs.
//!
//! The server may run as a user who cannot enter the directories above its own: a bundle root is root's alone. So
//! it gets its data directory as an open descriptor, and finds everything by that name. That takes no rights, where
//! a mount namespace takes CAP_SYS_ADMIN, and leaves the directory to us: no other process of that user, such as
//! the production server, can enter it.

use super::account::Account;
use super::programs::Programs;
use super::record::{self, Record, mark};
use super::undo::Undo;
use super::{bounded, memory, settings, socket};
use anyhow::{Context, Result, anyhow, bail};
use pipe_kit::{cleanup, text};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// The data directory, as the server knows it: descriptor 3 of each of its processes.
const DIRECTORY: &str = "/proc/self/fd/3";
/// How long `initdb` may take. On a busy disk it takes a few seconds.
const INITDB: Duration = Duration::from_secs(120);
/// How long the server may take until it answers.
const START: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// What is started.
pub struct Local<'a> {
    /// The drill's directory, absolute and without links.
    pub dir: &'a Path,
    /// How large the database will be, in bytes.
    pub bytes: u64,
    pub account: &'a Account,
    pub programs: &'a Programs,
    /// Whether it outlives us.
    pub keep: bool,
}

impl Local<'_> {
    /// Starts it, and gives the directory by which clients reach its socket, and whether it has a network of its own.
    ///
    /// # Errors
    /// If it does not start in time; what there is of it is then for `undo`.
    pub fn start(&self, undo: &Undo) -> Result<(PathBuf, bool)> {
        let data = record::data(self.dir);
        let socket = undo.make(|_| self.prepare(&data))?;
        undo.make(|_| self.initdb(&data))?;
        undo.make(|child| {
            let server = self.spawn(&data)?;
            *child = Some(server);
            Ok(())
        })?;
        self.wait(undo, &data, &socket)?;
        let has_own_network = undo.make(|child| Ok(has_own_network(child.as_ref())))?;
        Ok((socket, has_own_network))
    }

    fn prepare(&self, data: &Path) -> Result<PathBuf> {
        Record::default().write(self.dir)?;
        let made = DirBuilder::new().mode(0o700).create(data);
        made.with_context(|| format!("creating {}", data.display()))?;
        self.account.give(data)?;
        record::create(&record::log(self.dir))?;
        if socket::is_usable(data) {
            return Ok(data.to_owned());
        }
        let note = |short: &Path| {
            Record { short: Some(short.to_owned()), ..Record::default() }.write(self.dir)
        };
        socket::make_short(data, note)
    }

    /// Gives one of the server's programs the data directory, and the log for all that it prints.
    fn with_data(&self, mut command: Command, data: &Path) -> Result<Command> {
        let log = record::log(self.dir);
        let log = File::options().append(true).open(&log);
        let log = log.context("opening the server's log")?;
        let dir = File::open(data).with_context(|| format!("opening {}", data.display()))?;
        command.args(["-D", DIRECTORY]).stdin(dir).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    fn initdb(&self, data: &Path) -> Result<()> {
        let initdb = self.account.command(self.programs.dir.join("initdb"), self.keep);
        let mut command = self.with_data(initdb, data)?;
        let status = bounded::run(command.args(settings::INITDB), INITDB, "initdb")?;
        if !status.success() {
            bail!(
                "initdb of {} failed ({status}): {}",
                self.programs.dir.display(),
                self.last_line()
            );
        }
        Ok(())
    }

    fn spawn(&self, data: &Path) -> Result<Child> {
        let memory = memory::available();
        let postgres = self.account.server(self.programs.dir.join("postgres"), self.keep);
        let mut command = self.with_data(postgres, data)?;
        command.args(settings::arguments(self.bytes, memory, DIRECTORY, &mark(self.dir)));
        // Ctrl-C is for us, who then stop it.
        command.process_group(0).spawn().context("starting postgres")
    }

    fn wait(&self, undo: &Undo, data: &Path, socket: &Path) -> Result<()> {
        let start = Instant::now();
        let version = &self.programs.version;
        while !(is_ready(data) && UnixStream::connect(socket::file(socket)).is_ok()) {
            let ended = undo.make(|child| {
                let child = child.as_mut().context("the server")?;
                child.try_wait().context("asking for the server's status")
            })?;
            if let Some(status) = ended {
                let last = self.last_line();
                bail!("the private PostgreSQL {version} did not start ({status}): {last}");
            }
            if start.elapsed() > START {
                return Err(anyhow!(
                    "the private PostgreSQL {version} does not answer after {} s: {}",
                    START.as_secs(),
                    self.last_line()
                ));
            }
            std::thread::sleep(PAUSE);
            cleanup::halt_if_ending();
        }
        Ok(())
    }

    /// The last line that it has logged. The log is removed with the server.
    fn last_line(&self) -> String {
        let log = std::fs::read(record::log(self.dir)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let last = log.lines().rev().find(|line| !line.trim().is_empty());
        text::one_line(last.unwrap_or("it logged nothing").trim())
    }
}

/// Whether a child has another network than we have, by what the kernel shows of it.
fn has_own_network(child: Option<&Child>) -> bool {
    let network = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let its = child.and_then(|child| network(&child.id().to_string()));
    its.is_some() && network("self") != its
}

/// Whether the server accepts connections, as it writes itself into line 8 of its file.
fn is_ready(data: &Path) -> bool {
    let file = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    file.lines().nth(7).is_some_and(|status| status.trim() == "ready")
}
