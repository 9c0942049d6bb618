//! What the page takes for granted: Debian's server with its directories, `sudo`, and the toolkit beside a deployment.
//! All of it lies in temporary directories.

use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use test_kit::deployment::{BUCKET, Deployment, Options, Run, clean, run, sh};
use test_kit::tools::workspace;
use test_kit::user::{AS_SERVER_USER, POSTGRES_USER, is_root};
use test_kit::{postgres, skipped};

/// Seconds after which a command of the page is ended.
const LIMIT: &str = "300";

/// A host as the page has it. `host` stands for /srv/piprio.
pub struct Host {
    pub deployment: Deployment,
    host: TempDir,
}

impl Host {
    /// A host, unless pgBackRest is missing.
    pub fn new() -> Result<Option<Self>> {
        if Command::new("pgbackrest").arg("version").output().is_err() {
            skipped!("pgbackrest is not installed");
            return Ok(None);
        }
        let deployment = Deployment::temporary(&Options::default())?;
        let host = tempfile::Builder::new().prefix("pitr-").tempdir()?;
        // The server's user works there, as it does in /srv/piprio.
        std::fs::set_permissions(host.path(), PermissionsExt::from_mode(0o755))?;
        let this = Self { deployment, host };
        this.prepare_server()?;
        this.prepare_directories()?;
        Ok(Some(this))
    }

    /// Where the server's user may work.
    fn data(&self) -> &Path {
        &self.deployment.facts().data
    }

    /// As Debian's packages set a server up: a superuser `postgres` for the system's user of that name, and
    /// `conf.d`. The next start applies both.
    fn prepare_server(&self) -> Result<()> {
        self.deployment.psql_in("postgres", "create role postgres superuser login")?;
        let data = self.data().display();
        let script = format!(
            "umask 022; cd '{data}'; mkdir conf.d etc repository log lock
             echo \"include_dir = '{data}/conf.d'\" >> postgres/postgresql.conf
             sed -i '1i local all postgres trust' postgres/pg_hba.conf"
        );
        sh(Path::new("/"), &script)?;
        for name in ["repository", "log", "lock"] {
            test_kit::user::give_to_server_user(&self.data().join(name))?;
        }
        // Which sed has written anew.
        test_kit::user::give_to_server_user(&self.data().join("postgres/pg_hba.conf"))
    }

    fn prepare_directories(&self) -> Result<()> {
        let here = self.host.path();
        symlink(self.deployment.dir(), here.join("deploy"))?;
        let source = workspace().display();
        sh(
            here,
            &format!("mkdir piprio-backup cron.d bin && cp -a '{source}/contrib' piprio-backup"),
        )?;
        for (name, text) in [("sudo", self.sudo()), ("pgbackrest", self.pgbackrest()?)] {
            let program = here.join("bin").join(name);
            std::fs::write(&program, text)?;
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
        }
        let checks = self.deployment.dir().join("drill.d");
        std::fs::create_dir(&checks)?;
        std::fs::write(
            checks.join("objects.sql"),
            "select key, content_type from public.files;\n",
        )?;
        Ok(())
    }

    /// Stands for `sudo`. What the server's user runs reaches the server by its socket, as on Debian.
    fn sudo(&self) -> String {
        let user = match is_root() {
            true => format!("setpriv {}", AS_SERVER_USER.join(" ")),
            false => String::new(),
        };
        let (data, port) = (self.data().display(), self.deployment.facts().postgres_port);
        let programs = self.deployment.facts().programs.display();
        format!(
            "#!/usr/bin/env bash\nset -eu\n[[ $1 == -u ]] || exec \"$@\"\n[[ $2 == {POSTGRES_USER} ]]\nshift 2\n\
             export PGHOST='{data}' PGPORT={port} PGUSER=postgres PATH='{programs}':\"$PATH\"\n\
             exec {user} \"$@\"\n"
        )
    }

    /// The real pgBackRest with the directories of this host, for the server too.
    fn pgbackrest(&self) -> Result<String> {
        let real = sh(Path::new("/"), "command -v pgbackrest")?;
        let (data, here) = (self.data().display(), self.host.path().display());
        Ok(format!(
            "#!/usr/bin/env bash\nset -eu\n\
             export PGBACKREST_CONFIG='{data}/etc/pgbackrest/pgbackrest.conf' PGBACKREST_LOG_PATH='{data}/log'\n\
             export PGBACKREST_LOCK_PATH='{data}/lock' PGBACKREST_PG1_SOCKET_PATH='{data}' PGBACKREST_PG1_USER=postgres\n\
             export PGBACKREST_CMD='{here}/bin/pgbackrest'\n\
             exec {} \"$@\"\n",
            real.trim()
        ))
    }

    /// Types a command of the page. Directories of the system are those of this host.
    pub fn typed(&self, command: &str, answers: &str) -> Result<Run> {
        let (data, here) = (self.data().display(), self.host.path().display());
        let mut command = command
            .replace("/etc/pgbackrest", &format!("{data}/etc/pgbackrest"))
            .replace("/etc/postgresql/15/main", &data.to_string())
            .replace("/etc/cron.d", &format!("{here}/cron.d"));
        if !is_root() {
            command = command.replace(" -o postgres", "");
        }
        println!("$ {command}");
        let mut shell = clean("timeout");
        shell.args([LIMIT, "bash", "-c", &command]).current_dir(self.host.path());
        let path = std::env::var("PATH").context("PATH")?;
        shell.env("PATH", format!("{here}/bin:{path}"));
        let ended = run(shell, answers)?;
        if ended.status != 0 {
            let log = self.deployment.dir().join("run/postgres.log");
            println!("{}", std::fs::read_to_string(log).unwrap_or_default());
        }
        Ok(ended)
    }

    /// Writes a line of the configuration that the page has for its reader to edit, with this host's value.
    pub fn set(&self, line: &str) -> Result<()> {
        let data = self.data();
        let (name, _) = line.split_once('=').context("not a setting")?;
        let value = match name {
            "pg1-path" => data.join("postgres").display().to_string(),
            "pg1-port" => self.deployment.facts().postgres_port.to_string(),
            "repo1-path" => data.join("repository").display().to_string(),
            other => anyhow::bail!("the page edits {other}"),
        };
        let file = data.join("etc/pgbackrest/pgbackrest.conf");
        let text = std::fs::read_to_string(&file)?;
        ensure!(text.lines().any(|it| it == line), "the template does not have {line}");
        std::fs::write(&file, text.replace(line, &format!("{name}={value}")))?;
        Ok(())
    }

    /// The commands of the installed cron file.
    pub fn scheduled(&self) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(self.host.path().join("cron.d/piprio-pitr"))?;
        let jobs = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        let command = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            ensure!(words.len() > 6 && words[5] == POSTGRES_USER, "{line}");
            Ok(format!("sudo -u {POSTGRES_USER} {}", words[6..].join(" ")))
        };
        jobs.map(command).collect()
    }

    /// Stores an object, and then the row that names it, as the product does.
    pub fn add(&self, key: &str, body: &str) -> Result<()> {
        self.deployment.s3().put(
            (BUCKET, key),
            &[("content-type", "text/plain")],
            body.as_bytes(),
        )?;
        self.deployment
            .psql(&format!("insert into public.files values ('{key}', 'text/plain')"))?;
        Ok(())
    }

    /// Deletes an object, as the product does when no row names it any more.
    pub fn delete(&self, key: &str) -> Result<()> {
        self.deployment.s3().delete((BUCKET, key))
    }

    /// The content of an object.
    pub fn body(&self, key: &str) -> Result<String> {
        let object = self.deployment.s3().get((BUCKET, key))?;
        Ok(String::from_utf8_lossy(&object.body).into_owned())
    }

    /// The whole database as text.
    pub fn rows(&self) -> Result<String> {
        let mut dump = self.deployment.postgres_client("pg_dump");
        dump.arg("--lock-wait-timeout=60s");
        postgres::canonical(&output_of(&mut dump)?)
    }

    /// The server's present time.
    pub fn now(&self) -> Result<String> {
        self.deployment.psql("select clock_timestamp()")
    }

    /// Stops the server and empties its data directory, and removes pgBackRest's configuration.
    pub fn lose_server(&self) -> Result<()> {
        self.deployment.stop(&["postgres"])?;
        sh(self.data(), "rm -r etc/pgbackrest; find postgres -mindepth 1 -delete").map(drop)
    }

    /// The deployment's directory.
    pub fn deploy(&self) -> PathBuf {
        self.deployment.dir().to_owned()
    }
}

fn output_of(command: &mut Command) -> Result<String> {
    let out = command.output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8(out.stdout)?)
}

/// A table with the key and the type of every object in the bucket.
pub fn name_objects(deployment: &Deployment) -> Result<usize> {
    let client = deployment.s3();
    let mut sql =
        "create table public.files (key text primary key, content_type text);\n".to_owned();
    let keys = client.list(BUCKET, "")?;
    for key in &keys {
        let object = client.get((BUCKET, key))?;
        let content_type = object.header("content-type").unwrap_or_default();
        let quoted = [key.as_str(), content_type].map(|text| text.replace('\'', "''")).join("', '");
        writeln!(sql, "insert into public.files values ('{quoted}');")?;
    }
    deployment.psql(&sql)?;
    Ok(keys.len())
}
