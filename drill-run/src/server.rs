//! The private PostgreSQL: a minimal version, of the host's programs alone.

use anyhow::{Context, Result, bail};
use pipe_kit::cleanup::{self, Guard};
use pipe_kit::tool::Tool;
use pipe_kit::{Stop, warning};
use rustix::process::{Pid, Signal};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a server may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// The file of a drill's directory that names the server's.
const PLACE: &str = "server";
const SUPERUSER: &str = "drill";

/// What is asked for.
pub struct ServerRequest<'a> {
    /// The major of the dump's server; a newer one serves.
    pub major: u32,
    /// An estimate of the loaded database, in bytes.
    pub bytes: u64,
    /// An empty directory of this drill.
    pub dir: &'a Path,
    /// Who runs the server, if root asks for it.
    pub user: &'a str,
    /// The service driver.
    pub driver: &'a Path,
    /// The database's service, for its image.
    pub service: Option<&'a str>,
}

/// A running server. Dropped, it is stopped and removed.
pub struct PrivateServer {
    place: PathBuf,
    version: String,
    source: String,
    guard: Option<Guard>,
}

impl PrivateServer {
    /// Starts it.
    ///
    /// # Errors
    /// [`Stop::refused`] if there are no programs for it.
    pub fn start(request: &ServerRequest<'_>) -> Result<Self> {
        let (_, programs) = programs(request.major)?;
        let place = std::env::temp_dir().join(format!("piprio-drill-{}", std::process::id()));
        std::fs::write(request.dir.join(PLACE), place.as_os_str().as_encoded_bytes())
            .context("noting the server's directory")?;
        let removed = place.clone();
        let guard = cleanup::on_failure(move || {
            if let Err(error) = remove(&removed) {
                warning!("{error:#}");
            }
        });
        std::fs::create_dir(&place).with_context(|| format!("creating {}", place.display()))?;
        std::fs::set_permissions(&place, PermissionsExt::from_mode(0o700))?;
        if rustix::process::geteuid().is_root() {
            Tool::new("chown").arg(request.user).arg(&place).capture()?;
        }
        let data = place.join("data");
        let initdb = as_user(request.user, &programs.join("initdb")).arg("-D").arg(&data);
        initdb
            .args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
            .capture()
            .context("initdb")?;
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c fsync=off -c full_page_writes=off",
            place.display()
        );
        let start = as_user(request.user, &programs.join("pg_ctl")).arg("-D").arg(&data);
        let start =
            start.args(["-w", "-s", "-o", &options, "-l"]).arg(place.join("log")).arg("start");
        start.run().context("starting PostgreSQL")?;
        let server = Self {
            place,
            version: String::new(),
            source: programs.to_string_lossy().into_owned(),
            guard: Some(guard),
        };
        let version =
            server.tool("psql", "postgres").args(["-XAtc", "SHOW server_version"]).capture()?;
        Ok(Self { version: version.trim().to_owned(), ..server })
    }

    /// A client's command.
    pub fn tool(&self, program: &str, database: &str) -> Tool {
        Tool::new(program).envs(self.environment(database))
    }

    /// What clients read.
    pub fn environment(&self, database: &str) -> Vec<(String, String)> {
        let host = self.place.to_string_lossy().into_owned();
        [
            ("PGHOST", host.as_str()),
            ("PGPORT", "5432"),
            ("PGUSER", SUPERUSER),
            ("PGDATABASE", database),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// The server's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where its programs are.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Stops it and removes its directory.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(mut self) -> Result<()> {
        if let Some(guard) = self.guard.take() {
            guard.disarm();
        }
        remove(&self.place)
    }

    /// How to connect, and how to remove it.
    pub fn connect_hint(&self) -> String {
        let place = self.place.display();
        format!(
            "psql -h {place} -U {SUPERUSER}; to remove it: kill -QUIT $(head -n 1 {place}/data/postmaster.pid) && rm -rf {place}"
        )
    }
}

/// Removes what a killed drill left of a server.
///
/// # Errors
/// If it does not end, or cannot be removed.
pub fn remove_leftover(dir: &Path) -> Result<()> {
    match std::fs::read_to_string(dir.join(PLACE)) {
        Ok(place) if !place.is_empty() => remove(Path::new(&place)),
        _ => Ok(()),
    }
}

/// What would be started.
///
/// # Errors
/// [`Stop::refused`] if there are no programs for it.
pub fn plan(request: &ServerRequest<'_>) -> Result<String> {
    let (major, programs) = programs(request.major)?;
    let of =
        request.service.map(|service| format!(", not the service {service}")).unwrap_or_default();
    Ok(format!(
        "PostgreSQL {major} of {} as {}, about {}, beside {}{of}",
        programs.display(),
        request.user,
        pipe_kit::text::size(request.bytes),
        request.driver.display()
    ))
}

fn as_user(user: &str, program: &Path) -> Tool {
    if rustix::process::geteuid().is_root() {
        return Tool::new("runuser").args(["-u", user, "--"]).arg(program);
    }
    Tool::new(program)
}

fn programs(major: u32) -> Result<(u32, PathBuf)> {
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let major = entry.file_name().to_str()?.parse::<u32>().ok()?;
        let bin = entry.path().join("bin");
        bin.join("initdb").is_file().then_some((major, bin))
    });
    found.filter(|(found, _)| *found >= major).min().ok_or_else(|| {
        Stop::refused(format!("there is no PostgreSQL {major} or newer on this host")).into()
    })
}

fn remove(place: &Path) -> Result<()> {
    let pid = || std::fs::read_to_string(place.join("data/postmaster.pid")).ok();
    let pid =
        pid().and_then(|text| text.lines().next()?.trim().parse().ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let end = Instant::now() + PATIENCE;
        let _ = rustix::process::kill_process(pid, Signal::QUIT);
        while rustix::process::test_kill_process(pid).is_ok() {
            if Instant::now() > end {
                bail!("the private server (process {}) does not end", pid.as_raw_nonzero());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    match std::fs::remove_dir_all(place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", place.display()))
        }
        _ => Ok(()),
    }
}
