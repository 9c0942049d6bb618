//! Random values of every type, under random hostile settings where they are dumped and where they are
//! loaded: what comes back is the same, byte for byte, by our load and by plain psql.
//!
//! The seeds are the same each time, unless `PIPRIO_TEST_SEED` names one, or is `random`.

use crate::kit::*;
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use test_kit::Postgres;
use test_kit::postgres::{Options, Release, USER};
use values::{ByText, OWN_TYPES, TYPES, Type, WITHOUT_INPUT};

mod settings;
mod texts;
mod times;
mod values;

const SEED: &str = "PIPRIO_TEST_SEED";
const ROWS: u32 = 40;
/// With separators other than C's.
const LOCALES: [&str; 2] = ["de_DE.UTF-8", "es_AR.UTF-8"];
/// Whatever settings a database or a role has, what a comparison reads is written in one way.
const PLAIN: &str = "set datestyle = 'ISO'; set intervalstyle = 'postgres'; set timezone = 'UTC'; \
    set extra_float_digits = 3; set lc_monetary = 'C'; set search_path = ''";

fn seeds() -> Result<Vec<u64>> {
    match std::env::var(SEED) {
        Ok(word) if word == "random" => Ok(vec![fastrand::u64(..)]),
        Ok(number) => Ok(vec![number.parse().with_context(|| format!("{SEED}={number}"))?]),
        Err(_) => Ok(vec![1, 2, 3, 4]),
    }
}

/// Those that the machine has, or that root can make here.
#[allow(clippy::print_stdout, reason = "a test reports what it skips")]
fn locales() -> Result<Vec<String>> {
    let all = || -> Result<String> {
        let out = Command::new("locale").arg("-a").output().context("locale -a")?;
        Ok(String::from_utf8_lossy(&out.stdout).to_lowercase().replace('-', ""))
    };
    let is_there = |locale: &str, all: &str| {
        let wanted = locale.to_lowercase().replace('-', "");
        all.lines().any(|line| line == wanted)
    };
    let mut found = Vec::new();
    for locale in LOCALES {
        if !is_there(locale, &all()?) && rustix::process::geteuid().is_root() {
            let (language, encoding) = locale.split_once('.').context("a locale's name")?;
            let mut make = Command::new("localedef");
            let _ = make.args(["-i", language, "-f", encoding, locale]).output();
        }
        match is_there(locale, &all()?) {
            true => found.push(locale.to_owned()),
            false => test_kit::skipped!("{locale}: not here, and localedef does not make it"),
        }
    }
    Ok(found)
}

/// A column of the table, by its number.
struct Column {
    of: &'static Type,
    array: bool,
}

struct Scene {
    server: Postgres,
    major: u32,
    columns: Vec<Column>,
    locales: Vec<String>,
    /// Where the clients are looked for.
    path: String,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Result<Self> {
        Self::on(Postgres::start()?)
    }

    fn on(server: Postgres) -> Result<Self> {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", server.clients().display());
        let number: u32 = server.psql("postgres", "show server_version_num")?.parse()?;
        let major = number / 10_000;
        let xml = server.psql("postgres", "select xmlelement(name a)").is_ok();
        let there = |of: &&Type| of.since <= major && (xml || of.name != "xml");
        let both = |of| [Column { of, array: false }, Column { of, array: true }];
        let columns = TYPES.iter().filter(there).flat_map(both).collect();
        let (locales, dir) = (locales()?, tempfile::tempdir()?);
        Ok(Self { server, major, columns, locales, path, dir })
    }

    fn create(&self, r: &mut Rng, database: &str) -> Result<()> {
        let mut sql = format!(
            "{OWN_TYPES};\nset lc_monetary = 'C';\ncreate table public.data (id int primary key"
        );
        for (n, column) in self.columns.iter().enumerate() {
            let array = if column.array { "[]" } else { "" };
            let _ = write!(sql, ", c{n} {}{array}", column.of.name);
        }
        sql += ");\n";
        for id in 0..ROWS {
            let values: Vec<String> = self.columns.iter().map(|c| self.literal(r, c)).collect();
            let _ = writeln!(sql, "insert into public.data values ({id}, {});", values.join(", "));
        }
        self.server.psql("postgres", &format!("create database {database} template template0"))?;
        self.server.psql(database, &sql).map(drop)
    }

    fn literal(&self, r: &mut Rng, column: &Column) -> String {
        let one = |r: &mut Rng| match r.u8(..12) {
            0 => "null".to_owned(),
            _ => {
                let text = (column.of.value)(r, self.major);
                format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
            }
        };
        if !column.array || r.u8(..12) == 0 {
            return if column.array { "null".into() } else { one(r) };
        }
        let name = column.of.name;
        let length = r.u8(..4);
        let items = |r: &mut Rng| (0..length).map(|_| one(r)).collect::<Vec<_>>().join(", ");
        match r.u8(..3) {
            0 if length > 0 => {
                format!("array[array[{}], array[{}]]::{name}[]", items(r), items(r))
            }
            _ => format!("array[{}]::{name}[]", items(r)),
        }
    }

    /// Takes all settings back that hostile ones stand in.
    fn reset(&self, databases: &[&str]) -> Result<()> {
        let mut sql = format!(
            "set default_transaction_read_only = off; set statement_timeout = 0; alter role {USER} reset all;\n"
        );
        for database in databases {
            let _ = writeln!(
                sql,
                "alter database {database} reset all; alter role {USER} in database {database} reset all;"
            );
        }
        self.server.psql("postgres", &sql).map(drop)
    }

    /// The columns in COPY's binary form, where they have one.
    fn binary(&self, database: &str, columns: &[usize]) -> Result<Vec<u8>> {
        let columns: Vec<String> = columns.iter().map(|n| self.column(*n)).collect();
        let copy = format!(
            "copy (select id, {} from public.data order by id) to stdout (format binary)",
            columns.join(", ")
        );
        let mut psql = self.server.client("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", PLAIN, "-c", &copy]);
        let out = psql.output()?;
        ensure!(out.status.success(), "{database}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(out.stdout)
    }

    fn column(&self, n: usize) -> String {
        let column = &self.columns[n];
        match column.of.by_text {
            ByText::Always => format!("c{n}::text"),
            ByText::Arrays if column.array => format!("c{n}::text"),
            _ => format!("c{n}"),
        }
    }

    /// Which columns are not the same, each with the first value that is not.
    fn differences(&self, one: &str, other: &str) -> Result<Vec<String>> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        if self.binary(one, &all)? == self.binary(other, &all)? {
            return Ok(Vec::new());
        }
        let mut differences = Vec::new();
        for n in all {
            if self.binary(one, &[n])? == self.binary(other, &[n])? {
                continue;
            }
            let ask = format!("{PLAIN}; select id, c{n}::text from public.data order by id");
            let (was, is) = (self.server.psql(one, &ask)?, self.server.psql(other, &ask)?);
            let first = was.lines().zip(is.lines()).find(|(was, is)| was != is);
            let array = if self.columns[n].array { "[]" } else { "" };
            differences.push(format!("{}{array}: {first:?}", self.columns[n].of.name));
        }
        Ok(differences)
    }

    /// Dumps, loads and unpacks under settings of that seed, and reports what did not come back.
    fn run(&self, seed: u64) -> Result<Vec<String>> {
        let mut r = Rng::with_seed(seed);
        let (source, copy, by_hand) =
            (format!("src_{seed}"), format!("copy_{seed}"), format!("by_hand_{seed}"));
        let chosen = |r: &mut Rng, psql| settings::some(r, &self.locales, self.major, psql);
        let give = |r: &mut Rng, settings: &[String], database: &str| {
            let sql = settings::given(r, settings, database, USER);
            self.server.psql("postgres", &sql)
        };
        self.create(&mut r, &source)?;
        let dumped_under = chosen(&mut r, false);
        give(&mut r, &dumped_under, &source)?;
        let file = self.dir.path().join("ours");
        let dump = self.pg_snap(&source).arg("dump").output()?;
        let log = String::from_utf8_lossy(&dump.stderr).into_owned();
        ensure!(dump.status.success(), "dump under {dumped_under:?}: {log}");
        std::fs::write(&file, dump.stdout)?;
        self.reset(&[])?;

        let loaded_under = chosen(&mut r, false);
        let role: String =
            loaded_under.iter().map(|s| format!("alter role {USER} set {s};\n")).collect();
        self.server.psql("postgres", &role)?;
        let loaded = self.load(&file, &copy);
        self.reset(&[&source])?;

        self.server.psql("postgres", &format!("create database {by_hand} template template0"))?;
        let read_under = chosen(&mut r, true);
        give(&mut r, &read_under, &by_hand)?;
        let unpacked = self.unpack(&file, &by_hand);
        self.reset(&[&by_hand])?;

        let mut found = Vec::new();
        for (other, loaded, under, way) in
            [(&copy, loaded, loaded_under, "our load"), (&by_hand, unpacked, read_under, "psql")]
        {
            let differences = match loaded {
                Ok(()) => {
                    self.reset(&[other])?;
                    self.differences(&source, other)?
                }
                Err(error) => vec![format!("fails: {error:#}")],
            };
            if !differences.is_empty() {
                found.push(format!(
                    "seed {seed}, {way}: {}\n  dumped under {dumped_under:?}\n  read under {under:?}",
                    differences.join("\n    ")
                ));
            }
        }
        for database in [source, copy, by_hand] {
            self.server.psql("postgres", &format!("drop database if exists {database}"))?;
        }
        Ok(found)
    }

    fn pg_snap(&self, database: &str) -> assert_cmd::Command {
        let mut command = pg_snap(&self.server, database);
        command.env("PATH", &self.path);
        command
    }

    fn load(&self, file: &Path, database: &str) -> Result<()> {
        let load = self.pg_snap(database).arg("load").arg(file).output()?;
        ensure!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));
        Ok(())
    }

    fn unpack(&self, file: &Path, database: &str) -> Result<()> {
        let mut gunzip =
            Command::new("gunzip").arg("-c").arg(file).stdout(Stdio::piped()).spawn()?;
        let mut psql = self.server.client("psql");
        psql.args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-d", database]);
        let out = psql.stdin(gunzip.stdout.take().context("no pipe")?).output()?;
        let _ = gunzip.wait()?;
        let log = String::from_utf8_lossy(&out.stderr);
        let log: Vec<&str> = log.lines().filter(|line| !line.starts_with("DEBUG:")).collect();
        ensure!(out.status.success(), "{}", log.join("\n"));
        Ok(())
    }
}

#[test]
fn every_type_that_a_column_can_have_is_among_those_tried() -> Result<()> {
    let scene = Scene::new()?;
    let tried: Vec<String> = scene
        .columns
        .iter()
        .filter(|column| !column.of.name.starts_with("own."))
        .map(|column| format!("'{}'::regtype", column.of.name.replace('\'', "''")))
        .collect();
    let left = WITHOUT_INPUT.map(|name| format!("'{name}'")).join(", ");
    let missing = scene.server.psql(
        "postgres",
        &format!(
            "select string_agg(typname, ' ') from pg_type where typtype in ('b', 'r', 'm') and typname !~ '^_'
               and typnamespace = 'pg_catalog'::regnamespace and oid not in ({}) and typname not in ({left}, 'xml')",
            tried.join(", ")
        ),
    )?;
    ensure!(missing.is_empty(), "not tried: {missing}");
    Ok(())
}

#[test]
fn every_value_comes_back_the_same_under_whatever_settings() -> Result<()> {
    let scene = Scene::new()?;
    let mut failed = Vec::new();
    for seed in seeds()? {
        failed.extend(scene.run(seed).with_context(|| format!("{SEED}={seed}"))?);
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

#[test]
fn every_value_comes_back_the_same_on_every_major() -> Result<()> {
    let seed = seeds()?[0];
    let releases = Release::all()?;
    let newest = releases.iter().rev().find(|release| release.has_own_clients());
    let newest = newest.context("no clients")?.clients.clone();
    let try_on = |release: &Release| -> Result<Vec<String>> {
        let (programs, clients) = (Some(release.programs.clone()), Some(release.clients.clone()));
        let server = Postgres::with(Options { programs, clients, ..Options::default() })?;
        let mut scene = Scene::on(server)?;
        // A psql from before `\restrict` is given no strings that might lead it astray.
        scene.path = format!("{}:{}", newest.display(), scene.path);
        scene.run(seed)
    };
    let failed = std::thread::scope(|scope| {
        let all: Vec<_> = releases
            .iter()
            .map(|release| (release.major, scope.spawn(|| try_on(release))))
            .collect();
        let mut failed = Vec::new();
        for (major, tried) in all {
            let found = tried.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let found = found.unwrap_or_else(|error| vec![format!("{SEED}={seed}: {error:#}")]);
            failed.extend(found.into_iter().map(|what| format!("PostgreSQL {major}: {what}")));
        }
        failed
    });
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
