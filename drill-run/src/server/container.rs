//! A private server of an image's programs, in a container with a volume of its own and no network.
//!
//! Its clients run in it, by `docker exec`: a socket outside would belong to a user of the image, whom this host
//! does not know. The volume lies at /tmp, to which every user of the image can write.

use super::bounded;
use super::engine::{ANSWER, docker, name};
use super::image::Image;
use super::record::{Record, mark};
use super::undo::Undo;
use super::version::Version;
use super::{engine, memory, room, settings};
use anyhow::{Context, Result, bail};
use pipe_kit::{Stop, cleanup};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a server may take until it answers, with `initdb`.
const START: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

/// The statuses of `docker` and of a shell for a program that is not there.
const NOT_FOUND: [i32; 2] = [126, 127];

/// Prints the release and the room for the volume.
const PROBE: &str = "postgres --version && df -Pk /tmp";
/// The shell's work in the container. Its first argument is the data directory, the rest are those of the server.
fn serve() -> String {
    let initdb = settings::INITDB.join(" ");
    format!(
        "umask 077; data=$1; shift; initdb -D \"$data\" {initdb} && exec postgres -D \"$data\" \"$@\""
    )
}

/// The variables of clients that reach the container, by name: their values do not come into a command line.
const PASSED: [&str; 10] = [
    "PGHOST",
    "PGPORT",
    "PGUSER",
    "PGDATABASE",
    "PGAPPNAME",
    "PGOPTIONS",
    "PGCONNECT_TIMEOUT",
    "PGCLIENTENCODING",
    "PGDATESTYLE",
    "PGTZ",
];

/// What is started.
pub struct Container<'a> {
    /// The drill's directory, absolute and without links.
    pub dir: &'a Path,
    /// How large the database will be, in bytes.
    pub bytes: u64,
    /// The least major release that serves.
    pub major: u32,
    pub image: &'a Image,
}

/// The data directory inside, which is the socket's too. No other server has this path, not even where a client
/// looks for it outside the container.
pub fn data(dir: &Path) -> String {
    format!("/tmp/{}", name(dir))
}

/// What is put before a client's command line.
pub fn exec_prefix(dir: &Path) -> String {
    let passed: String = PASSED.iter().map(|name| format!(" -e {name}")).collect();
    format!("docker exec -i{passed} {}", name(dir))
}

impl Container<'_> {
    /// Starts it, and gives the server's release.
    ///
    /// # Errors
    /// [`Stop::refused`] if the image does not serve, or there is no room.
    pub fn start(&self, undo: &Undo) -> Result<Version> {
        undo.make(|_| {
            Record { container: true, ..Record::default() }.write(self.dir)?;
            let mut create = docker(&["volume", "create"]);
            create.arg(format!("--label={}", mark(self.dir))).arg(name(self.dir));
            self.create(&mut create, "docker volume create")
        })?;
        let version = undo.make(|_| self.probe())?;
        undo.make(|_| {
            let memory = memory::available();
            let data = data(self.dir);
            let mut run = self.run(&["--detach", &format!("--name={}", name(self.dir))]);
            run.arg(&self.image.id).args(["-c", &serve(), "sh", &data]);
            run.args(settings::arguments(self.bytes, memory, &data, &mark(self.dir)));
            self.create(&mut run, "docker run")
        })?;
        self.wait(undo)?;
        Ok(version)
    }

    /// `docker run` with a shell of the image, up to the image.
    fn run(&self, options: &[&str]) -> Command {
        let mut command = docker(&["run", "--pull=never", "--network=none", "--entrypoint=sh"]);
        command.args(["--cap-drop=ALL", "--security-opt=no-new-privileges"]);
        command.args(["--log-driver=json-file", "--log-opt=max-size=10m"]);
        command.args(["--oom-score-adj=1000", "--cpu-shares=128"]);
        command.arg(format!("--label={}", mark(self.dir)));
        command.arg(format!("--volume={}:/tmp", name(self.dir)));
        command.args(self.image.user.map(|user| format!("--user={user}"))).args(options);
        command
    }

    fn create(&self, command: &mut Command, what: &str) -> Result<()> {
        engine::create(self.dir, command, what)?.check(what).map(drop)
    }

    fn probe(&self) -> Result<Version> {
        let image = &self.image.name;
        let mut command = self.run(&["--rm"]);
        command.arg(&self.image.id).args(["-c", PROBE]);
        let ended = engine::create(self.dir, &mut command, "docker run")?;
        if ended.status.code().is_some_and(|code| NOT_FOUND.contains(&code)) {
            return Err(refused(format!("the image {image} has no program postgres")));
        }
        let text = ended.check("docker run").with_context(|| format!("the image {image}"))?.text;
        let version = text.lines().next().and_then(Version::from_banner);
        let version = version.with_context(|| format!("postgres of {image} printed no version"))?;
        if version.major < self.major {
            return Err(refused(format!(
                "the image {image} has PostgreSQL {version}, but the dump needs {} or newer",
                self.major
            )));
        }
        let free = room::of_df(&text).context("df in the container printed no size")?;
        let remedy = "make room on the disk of the engine's volumes, or install the server's programs on this host, \
                      which use DRILL_DIR";
        room::require(self.bytes, free, "for a volume of the engine", remedy)?;
        Ok(version)
    }

    fn wait(&self, undo: &Undo) -> Result<()> {
        let start = Instant::now();
        let (name, data) = (name(self.dir), data(self.dir));
        loop {
            let mut ask = docker(&["exec", &name, "pg_isready", "-q", "-h", &data]);
            let ended = undo.make(|_| bounded::read(&mut ask, ANSWER, "docker exec"))?;
            if ended.status.success() {
                return Ok(());
            }
            if ended.status.code().is_some_and(|code| NOT_FOUND.contains(&code)) {
                let image = &self.image.name;
                return Err(refused(format!("the image {image} has no program pg_isready")));
            }
            let mut ask = docker(&["inspect", "--format={{.State.Running}}", &name]);
            let running = undo.make(|_| bounded::read(&mut ask, ANSWER, "docker inspect"))?;
            if running.check("docker inspect")?.text.trim() != "true" || start.elapsed() > START {
                let mut logs = docker(&["logs", "--tail=1", &name]);
                let last = undo.make(|_| bounded::read(&mut logs, ANSWER, "docker logs"))?;
                bail!(
                    "the private PostgreSQL of {} does not start: {}",
                    self.image.name,
                    last.all()
                );
            }
            std::thread::sleep(PAUSE);
            cleanup::halt_if_ending();
        }
    }
}

fn refused(message: String) -> anyhow::Error {
    Stop::refused(message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_one_directory_and_safe_in_a_command_line() {
        let (a, b) = (Path::new("/srv/a/.drill/x y"), Path::new("/srv/b/.drill/x y"));
        assert_ne!(data(a), data(b));
        assert_eq!(data(a), data(Path::new("/srv/a/.drill/x y")));
        let prefix = exec_prefix(a);
        assert!(prefix.starts_with("docker exec -i -e PGHOST "), "{prefix}");
        assert!(prefix.ends_with(&format!(" {}", name(a))), "{prefix}");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || " -_/".contains(c);
        assert!(prefix.chars().all(is_plain) && data(a).chars().all(is_plain));
    }

    #[test]
    fn a_container_has_no_network_and_its_directorys_label() {
        let image = Image { id: "sha256:1".into(), name: "x".into(), user: Some("postgres") };
        let dir = Path::new("/d");
        let it = Container { dir, bytes: 1, major: 15, image: &image };
        let command = it.run(&["--rm"]);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        for word in ["--network=none", "--pull=never", "--label=piprio.drill=/d", "--user=postgres"]
        {
            assert!(words.iter().any(|it| it == word), "{words:?}");
        }
        let own = Image { user: None, ..image.clone() };
        let it = Container { image: &own, ..it };
        assert!(!it.run(&[]).get_args().any(|word| word.to_string_lossy().contains("--user")));
    }
}
