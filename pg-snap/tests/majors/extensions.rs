//! Databases that use extensions, with rows and indexes of their types: dumped, and loaded into the same major and
//! every newer one that has the same extensions. Each release has some of them; what none has is skipped.

use super::cases::{ABSENT, CASES, CRON, Case};
use super::{Cluster, at_once, clusters, releases};
use anyhow::{Context, Result, ensure};
use predicates::str::starts_with;
use std::collections::BTreeMap;
use std::process::Command;
use test_kit::Postgres;
use test_kit::postgres::{Options, Release};

impl Cluster {
    /// The cases whose extension this release has, and whose libraries this system has.
    fn cases(&self) -> Result<Vec<&'static Case>> {
        self.server.psql("postgres", "create database tried")?;
        let create = |case: &&Case| {
            let make = format!("create extension \"{}\"", case.name);
            self.server.psql("tried", &make).is_ok()
        };
        let cases = CASES.iter().filter(create).collect();
        self.server.psql("postgres", "drop database tried")?;
        Ok(cases)
    }

    /// A database that uses their extensions.
    fn extended(&self, database: &str, cases: &[&Case]) -> Result<()> {
        self.server.psql("postgres", &format!("create database {database}"))?;
        for case in cases {
            let made = self.server.psql(database, case.make);
            made.with_context(|| format!("{} in {}", case.name, self.release.major))?;
        }
        Ok(())
    }
}

/// Loads the database `from` into a copy, which has the same rows, by `compare` and by what each case asks.
fn copied(from: &Cluster, database: &str, to: &Cluster, cases: &[&Case]) -> Result<()> {
    let (copy, file) = (format!("{database}_of_{}", from.release.major), from.file(database));
    to.pg_snap(&copy).arg("preflight").arg(&file).assert().success();
    to.pg_snap(&copy).arg("load").arg(&file).assert().success();
    to.pg_snap(&copy).arg("compare").arg(&file).assert().success().stdout(starts_with("Same; "));
    for case in cases {
        let ask = format!("set enable_seqscan to off; {}", case.ask);
        let (before, after) = (from.server.psql(database, &ask)?, to.server.psql(&copy, &ask)?);
        let what = || format!("{}, {} to {}", case.name, from.release.major, to.release.major);
        ensure!(!before.trim().is_empty(), "{}: nothing is asked", what());
        ensure!(before == after, "{}: {before}\n{after}", what());
    }
    Ok(())
}

#[test]
fn rows_and_indexes_of_extensions_come_back_in_their_own_major_and_every_newer_one() -> Result<()> {
    let clusters = clusters()?;
    let cases = at_once(&clusters, Cluster::cases)?;
    let is_known = |name: &str| cases.iter().flatten().any(|case| case.name == name);
    let absent = CASES.iter().map(|case| case.name).filter(|name| !is_known(name));
    for name in absent.chain(ABSENT) {
        test_kit::skipped!("{name} is not installed");
    }
    let both = |from: usize, to: usize| -> Vec<&'static Case> {
        let is_there = |case: &&Case| cases[to].iter().any(|other| other.name == case.name);
        cases[from].iter().copied().filter(is_there).collect()
    };
    at_once(clusters.iter().enumerate(), |(at, from)| {
        // What it makes depends on what the other has, too.
        let mut dumped: BTreeMap<Vec<&str>, String> = BTreeMap::new();
        for (to, cluster) in clusters.iter().enumerate().skip(at) {
            let cases = both(at, to);
            let names: Vec<&str> = cases.iter().map(|case| case.name).collect();
            if names.is_empty() {
                continue;
            }
            let database = match dumped.get(&names) {
                Some(database) => database.clone(),
                None => {
                    let database = format!("extended_{to}");
                    from.extended(&database, &cases)?;
                    from.dump(&database)?;
                    dumped.insert(names.clone(), database.clone());
                    database
                }
            };
            copied(from, &database, cluster, &cases)?;
            let (from, to) = (from.release.major, cluster.release.major);
            test_kit::reported!("extensions: {from} to {to}: {}: same", names.join(" "));
        }
        Ok(())
    })
    .map(drop)
}

fn has_cron(release: &Release) -> bool {
    let mut pg_config = Command::new(release.programs.join("pg_config"));
    let share = pg_config.arg("--sharedir").output().map(|out| out.stdout).unwrap_or_default();
    let share = String::from_utf8_lossy(&share).trim().to_owned();
    std::path::Path::new(&share).join(format!("extension/{CRON}.control")).exists()
}

/// `pg_cron` allows itself in one database alone, and its server connects to it by itself.
#[test]
fn jobs_of_pg_cron_come_back_where_its_server_allows_the_incoming_database() -> Result<()> {
    let Some(release) = releases()?.into_iter().find(has_cron) else {
        test_kit::skipped!("{CRON} is not installed");
        return Ok(());
    };
    let start = |database: &str| {
        let settings = vec![
            format!("shared_preload_libraries={CRON}"),
            format!("cron.database_name={database}"),
        ];
        let (programs, clients) = (Some(release.programs.clone()), Some(release.clients.clone()));
        Postgres::with(Options { programs, clients, settings, ..Options::default() })
    };
    let (source, target) = (start("jobs")?, start("jobs_pg_snap_incoming")?);
    let run = |server: &Postgres| {
        let mut command = Command::new(test_kit::tool("pg-snap"));
        command.envs(server.env()).env("PGDATABASE", "jobs");
        assert_cmd::Command::from_std(command)
    };
    source.psql("postgres", "create database jobs")?;
    source.psql(
        "jobs",
        "create extension pg_cron; select cron.schedule('nightly', '0 4 * * *', $$ select 'it''s' $$)",
    )?;
    let dump = run(&source).arg("dump").output()?;
    ensure!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("jobs.sql.gz");
    std::fs::write(&file, &dump.stdout)?;
    run(&target).arg("load").arg(&file).assert().success();
    run(&target).arg("compare").arg(&file).assert().success().stdout(starts_with("Same; "));
    let jobs = "select jobid, jobname, schedule, command, database, username, active from cron.job";
    let (before, after) = (source.psql("jobs", jobs)?, target.psql("jobs", jobs)?);
    ensure!(before == after && before.contains("nightly"), "{before}\n{after}");
    // The next job gets a number of its own.
    ensure!(target.psql("jobs", "select nextval('cron.jobid_seq')")? == "2");
    test_kit::reported!("extensions: {0} to {0}: {CRON}: same", release.major);
    Ok(())
}
