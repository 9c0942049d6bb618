//! The deployment that faults are shown on, with one good bundle of a known state.

use crate::launched::Launched;
use crate::script::Script;
use crate::traces;
use crate::watch::Watch;
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use pipe_kit::cleanup::{self, Guard};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use test_kit::deployment::{BUCKET, DATABASE, DOMAIN, Deployment, Options, Run};

/// Text of some megabytes, so that a dump has many gzip members and a load takes its time.
const BULK: &str = "create table public.bulk as
    select n, repeat(md5(n::text), 30) as text from generate_series(1, 12000) as n";
/// Keys that no path can spell, beside others: their objects are kept aside.
const ODD_KEYS: [&str; 4] = ["odd", "odd/below it", "double//slash", ".obj-mirror/not ours"];

/// A deployment that is as in its bundle.
pub struct Stand {
    pub deployment: Deployment,
    /// The good bundle.
    pub bundle: PathBuf,
    /// Everything that the bundle brings back.
    pub state: String,
    /// How long an undisturbed backup and restore took.
    pub backup_takes: Duration,
    pub restore_takes: Duration,
    contents: traces::Contents,
    watch: Arc<Watch>,
    /// `TMPDIR` of every script.
    tmp: PathBuf,
    _removal: Guard,
}

impl Stand {
    /// # Errors
    /// If it cannot be stood up, or an undisturbed backup or restore fails.
    pub fn new(bin_dir: Option<PathBuf>) -> Result<Self> {
        let mut deployment = Deployment::temporary(&Options { bin_dir, ..Options::default() })?;
        // A signal drops nothing: the guard removes it in either case.
        deployment.keep();
        let dir = deployment.dir().to_owned();
        let tmp = tempfile::Builder::new().prefix("faults-").tempdir().context("a directory")?;
        let tmp = tmp.keep();
        let temporary = tmp.clone();
        let removal = cleanup::on_failure(move || {
            let _ = std::fs::remove_dir_all(temporary);
            let removed = Deployment::open(&dir).and_then(Deployment::remove);
            if let Err(error) = removed {
                pipe_kit::warning!("{}: {error:#}", dir.display());
            }
        });
        deployment.psql(BULK)?;
        for key in ODD_KEYS {
            deployment.s3().put(
                (BUCKET, key),
                &[("content-type", "text/x-odd")],
                key.as_bytes(),
            )?;
        }
        let watch = Arc::new(Watch::new(deployment.dir())?);
        let mut stand = Self {
            deployment,
            bundle: PathBuf::new(),
            state: String::new(),
            backup_takes: Duration::ZERO,
            restore_takes: Duration::ZERO,
            contents: traces::Contents::default(),
            watch,
            tmp,
            _removal: removal,
        };
        stand.prepare()?;
        Ok(stand)
    }

    fn prepare(&mut self) -> Result<()> {
        self.state = self.deployment.state()?;
        let start = Instant::now();
        ended(&self.backup()?, 0)?;
        self.backup_takes = start.elapsed();
        self.bundle = self.deployment.newest_bundle()?;
        self.contents = traces::contents(&self.bundle)?;
        self.wreck(&mut Rng::with_seed(0))?;
        let start = Instant::now();
        ended(&self.restore()?, 0)?;
        self.restore_takes = start.elapsed();
        self.is_restored()
    }

    /// Starts a script in its own process group and with its own directory for temporary files.
    pub fn launch(&self, script: Script, arguments: &[&OsStr]) -> Result<Launched> {
        let mut command = self.deployment.script(&format!("{}.sh", script.name()), &[]);
        command.args(arguments).env("TMPDIR", &self.tmp);
        Launched::watched(&self.watch, script, command)
    }

    pub fn launch_backup(&self) -> Result<Launched> {
        self.launch(Script::Backup, &[])
    }

    /// A restore of the bundle that needs no answers; `more` are further options.
    pub fn launch_restore(&self, more: &[&str]) -> Result<Launched> {
        let options = ["--confirm", DOMAIN, "--config", "yes"].iter().chain(more);
        let arguments = std::iter::once(self.bundle.as_os_str()).chain(options.map(OsStr::new));
        self.launch(Script::Restore, &arguments.collect::<Vec<_>>())
    }

    pub fn backup(&self) -> Result<Run> {
        self.launch_backup()?.finish()
    }

    pub fn restore(&self) -> Result<Run> {
        self.launch_restore(&[])?.finish()
    }

    /// Makes the deployment differ from its bundle in every part, and gives the database's dump.
    pub fn wreck(&self, rng: &mut Rng) -> Result<String> {
        let mark = rng.u32(..);
        self.deployment.psql(&format!(
            "drop schema tenant_0001 cascade; delete from public.awkward where id < 5;
             create table public.\"wreck {mark}\" (id int)"
        ))?;
        let (s3, key) =
            (self.deployment.s3(), "tenant_0001/a name with spaces/Übersicht 漢字 (1).pdf");
        s3.put((BUCKET, "came later"), &[], &mark.to_le_bytes())?;
        s3.put((BUCKET, "odd/below it"), &[], b"overwritten")?;
        s3.delete((BUCKET, key))?;
        self.deployment.redis(&["SET", "stale", "1"])?;
        let dir = self.deployment.dir();
        std::fs::write(dir.join("secrets/signing_key"), mark.to_le_bytes()).context("wrecking")?;
        std::fs::remove_dir_all(dir.join("certs")).context("wrecking")?;
        self.database()
    }

    /// The database's dump; [`Deployment::state`] begins with the same.
    pub fn database(&self) -> Result<String> {
        let mut dump = self.deployment.postgres_client("pg_dump");
        dump.args(["--create", "-d", DATABASE]);
        test_kit::postgres::canonical(&pipe_kit::child::capture(&mut dump, "pg_dump")?)
    }

    /// The database is there, as it was before the restore or as the bundle has it; returns which, in a word.
    ///
    /// # Errors
    /// If it is neither.
    pub fn database_is_old_or_new(&self, before: &str) -> Result<&'static str> {
        let ask = format!("select count(*) from pg_database where datname = '{DATABASE}'");
        let there = self.deployment.psql_in("postgres", &ask)?;
        ensure!(there == "1", "there is no database {DATABASE}: neither the old nor the new one");
        let mut seen = self.database();
        for _ in 0..20 {
            if seen.is_ok() {
                break;
            }
            // What was killed may still be ending sessions.
            std::thread::sleep(Duration::from_millis(250));
            seen = self.database();
        }
        let seen = seen.context("the database does not answer after the fault")?;
        if seen == before {
            return Ok("old");
        }
        ensure!(self.is_bundled_database(&seen), "the database is neither the old nor the new one");
        Ok("new")
    }

    pub fn is_bundled_database(&self, dump: &str) -> bool {
        self.state.starts_with(&format!("## database\n{dump}\n## objects\n"))
    }

    /// Everything is as the bundle has it, all services run, and nothing of any run is left.
    pub fn is_restored(&self) -> Result<()> {
        let state = self.deployment.state()?;
        if let Some((is, should)) = state.lines().zip(self.state.lines()).find(|(a, b)| a != b) {
            anyhow::bail!("the deployment differs from the bundle: {is:?} should be {should:?}");
        }
        ensure!(state == self.state, "the deployment differs from the bundle");
        for (service, is) in self.deployment.ps()? {
            ensure!(is == "running", "the service {service} is {is}");
        }
        ended(&self.deployment.health_check()?, 0)?;
        self.nothing_is_left()
    }

    /// No partial, no stray database, no temporary file, no lock that is held.
    pub fn nothing_is_left(&self) -> Result<()> {
        self.has_no_other_database()?;
        traces::of_runs(self.deployment.dir())?;
        traces::of_backups(self.root()?)?;
        let entries = traces::names(&self.tmp)?;
        ensure!(entries.is_empty(), "left in the directory for temporary files: {entries:?}");
        self.bundle_is_as_it_was()
    }

    /// The server has the deployment's database, and none of a restore's.
    pub fn has_no_other_database(&self) -> Result<()> {
        let ask = "select string_agg(datname, ' ' order by datname) from pg_database
                   where not datistemplate";
        let databases = self.deployment.psql_in("postgres", ask)?;
        ensure!(databases == "piprio postgres", "the server has the databases {databases}");
        Ok(())
    }

    pub fn root(&self) -> Result<&Path> {
        self.bundle.parent().context("a bundle lies in a root")
    }

    pub fn bundle_is_as_it_was(&self) -> Result<()> {
        ensure!(traces::contents(&self.bundle)? == self.contents, "the good bundle has changed");
        Ok(())
    }

    /// The bundle's mirror holds what the bucket held when the good bundle was made.
    pub fn mirrors_the_bucket(&self, bundle: &Path) -> Result<()> {
        let same = mirror(&traces::contents(bundle)?)? == mirror(&self.contents)?;
        ensure!(same, "{} does not hold what the bucket does", bundle.display());
        Ok(())
    }

    /// Every finished bundle passes a full verify, and the good one is as it was.
    pub fn bundles_are_whole(&self) -> Result<()> {
        for bundle in self.deployment.bundles()? {
            self.verify(&bundle, 0)?;
        }
        self.bundle_is_as_it_was()
    }

    /// A full verify of a bundle ends with that status.
    pub fn verify(&self, bundle: &Path, status: i32) -> Result<()> {
        let mut command = self.deployment.stage("bundle-manifest", &["verify"]);
        command.arg(bundle).env("TMPDIR", &self.tmp);
        ended(&Launched::start(command)?.finish()?, status)
            .with_context(|| format!("a full verify of {}", bundle.display()))
    }

    /// A plain backup works and leaves nothing but its bundle, which then goes.
    pub fn backs_up_again(&self) -> Result<()> {
        ended(&self.backup()?, 0).context("a plain backup afterwards")?;
        self.bundles_are_whole()?;
        self.nothing_is_left()?;
        self.remove_other_bundles()
    }

    /// A plain restore works and leaves nothing.
    pub fn restores_again(&self) -> Result<()> {
        ended(&self.restore()?, 0).context("a plain restore afterwards")?;
        self.is_restored()
    }

    /// After failures, a good run of the same kind: its recovery is reported.
    pub fn recovers(&self) -> Result<()> {
        if self.watch.is_failing(Script::Backup) {
            self.backs_up_again()?;
        }
        if self.watch.is_failing(Script::Restore) {
            self.restores_again()?;
        }
        Ok(())
    }

    pub fn remove_other_bundles(&self) -> Result<()> {
        for bundle in self.deployment.bundles()?.iter().filter(|b| **b != self.bundle) {
            std::fs::remove_dir_all(bundle).context("removing a bundle")?;
        }
        Ok(())
    }

    /// What there is, for who has to find out why.
    pub fn describe(&self) -> String {
        let shown = |what: Result<String>| what.unwrap_or_else(|error| format!("{error:#}"));
        let listing = |dir: PathBuf| shown(traces::names(&dir).map(|names| names.join(" ")));
        let dir = self.deployment.dir();
        let ask = "select string_agg(datname || ' ' || oid, ', ') from pg_database";
        format!(
            "  databases: {}\n  services: {}\n  backups: {}\n  .restore: {}\n  temporary files: {}",
            shown(self.deployment.psql_in("postgres", ask)),
            shown(self.deployment.ps().map(|ps| format!("{ps:?}"))),
            listing(dir.join("backups")),
            listing(dir.join(".restore")),
            listing(self.tmp.clone()),
        )
    }
}

/// A run ended with the status that it should.
pub fn ended(run: &Run, status: i32) -> Result<()> {
    let is = run.status;
    let words = last_words(&run.stderr);
    ensure!(is == status, "it ended with {is}, not {status}: {words}\n{}", run.stdout);
    Ok(())
}

/// The end of what a run has printed: what comes before it is the same in every run.
pub fn last_words(message: &str) -> String {
    let lines: Vec<&str> = message.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// A bundle's objects, and their index without the times at which they were written.
fn mirror(contents: &traces::Contents) -> Result<(traces::Contents, Vec<serde_json::Value>)> {
    let mut objects: traces::Contents = contents
        .iter()
        .filter(|(path, _)| path.starts_with("minio"))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect();
    let index = Path::new("minio/.obj-mirror/index.jsonl");
    let index = objects.remove(index).flatten().context("no index")?;

    let mut entries = Vec::new();
    for line in index.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut entry: serde_json::Value = serde_json::from_slice(line).context("an index")?;
        entry.as_object_mut().map(|entry| entry.remove("last_modified"));
        entries.push(entry);
    }
    Ok((objects, entries))
}
