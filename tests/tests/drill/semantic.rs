//! Damage that no seal shows: each bundle is sealed again and verifies as intact, and its drill finds and names what
//! is wrong with it.

use crate::kit::{Stand, findings};
use anyhow::{Context, Result, ensure};
use bundle_format::report::DrillResult;
use chrono::TimeDelta;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use test_kit::deployment::{DATABASE, DOMAIN, run, sh};

/// What is done to a copy of the bundle.
enum Damage {
    /// This SQL to the database, of which a new dump is made.
    Sql(&'static str),
    /// A dump of another database.
    OtherDatabase,
    /// This script in the copy's directory; `$config` is its configuration, extracted, which is packed again.
    Script(&'static str),
}
use Damage::{OtherDatabase, Script, Sql};

/// The name of an object that a row names, with a content type.
const OBJECT: &str = "tenant_0003/documents/4a/0002.json";

/// What is wrong, how it is made, and what a finding must name.
const CASES: [(&str, Damage, &str); 14] = [
    (
        "a table left out",
        Sql("drop table tenant_0002.activity cascade"),
        "table tenant_0002.activity_2025: gone",
    ),
    (
        "rows missing from one table",
        Sql("delete from tenant_0003.activity_2025 where id % 3 <> 0"),
        "rows of tenant_0003.activity_2025: ",
    ),
    (
        "rows that changed in number only across tables",
        Sql("update tenant_0001.activity set happened_on = '2025-06-01' \
             where happened_on >= '2026-01-01' and happened_on < '2027-01-01' and id % 3 <> 0"),
        "rows of tenant_0001.activity_2026: ",
    ),
    (
        "a sequence set back",
        Sql("select setval('tenant_0001.people_id_seq', 1)"),
        "sequence tenant_0001.people_id_seq: next value 2 (expected: a next value past ",
    ),
    (
        "a constraint gone",
        Sql("alter table tenant_0002.documents drop constraint documents_owner_fkey"),
        "fk constraint tenant_0002.documents documents_owner_fkey: missing",
    ),
    (
        "a check of a domain gone",
        Sql("alter domain public.email drop constraint email_check"),
        "constraint public.email email_check: missing",
    ),
    (
        "an index invalid where it was dumped",
        Sql(
            "update pg_index set indisvalid = false where indexrelid = 'tenant_0001.documents_lower_idx'::regclass",
        ),
        "index tenant_0001.documents_lower_idx: missing",
    ),
    (
        "an index invalid where it is restored",
        Sql("create index half on only tenant_0001.activity (verb)"),
        "index tenant_0001.half of tenant_0001.activity: not valid",
    ),
    (
        "a role's right gone",
        Sql("revoke select on tenant_0001.documents from reader"),
        "GRANT SELECT ON TABLE tenant_0001.documents TO reader: missing",
    ),
    (
        "an object missing that a row names",
        Script(
            r#"rm "minio/$object"
               (cd minio && rmdir -p --ignore-fail-on-non-empty "$(dirname "$object")")
               sed -i "\|\"key\":\"$object\"|d" minio/.obj-mirror/index.jsonl
               sed -i "\|  $object\$|d" minio/.obj-mirror/SHA256SUMS"#,
        ),
        "object tenant_0003/documents/4a/0002.json: missing",
    ),
    (
        "an object's content type lost",
        Script(
            r#"sed -i "\|\"key\":\"$object\"|s/,\"content_type\":\"[^\"]*\"//" minio/.obj-mirror/index.jsonl"#,
        ),
        "content-type of tenant_0003/documents/4a/0002.json: none (expected: application/json)",
    ),
    (
        "the wrong encryption key",
        Script(r#"head -c 32 /dev/zero > "$config/secrets/credential_encryption_key""#),
        "credential.sh: status 1: the key of the bundle's configuration does not open a credential",
    ),
    (
        "an .env that names a missing secret",
        Script(r#"rm "$config/secrets/s3_secret_key""#),
        "file of S3_SECRET_KEY_FILE: missing (expected: secrets/s3_secret_key in the archive)",
    ),
    (
        "a dump of the wrong database",
        OtherDatabase,
        "database of the dump: other: a dump of the wrong database",
    ),
];

/// The bundle that copies are made of, and the directory that they lie in.
struct Bench<'a> {
    stand: &'a Stand,
    dir: tempfile::TempDir,
    made: i64,
}

impl Bench<'_> {
    /// A copy of the bundle under a later name, so that the bundle itself is what came before it.
    fn copy(&mut self) -> Result<PathBuf> {
        self.made += 1;
        let name = self.stand.bundle.file_name().context("a name")?;
        let name = bundle_format::BundleName::parse(name).context("a bundle's name")?;
        let taken = name.taken() + TimeDelta::minutes(self.made);
        let copy = self.dir.path().join(taken.format("piprio_%Y%m%dT%H%M%SZ").to_string());
        sh(
            Path::new("/"),
            &format!("cp -a '{}' '{}'", self.stand.bundle.display(), copy.display()),
        )?;
        Ok(copy)
    }

    fn damage(&self, damage: &Damage, copy: &Path) -> Result<()> {
        match damage {
            Sql(sql) => {
                self.stand.deployment.psql(sql)?;
                self.dump(DATABASE, copy)?;
                self.as_before()
            }
            OtherDatabase => {
                self.in_postgres("create database other template pristine")?;
                self.dump("other", copy)
            }
            Script(script) => {
                let config = self.dir.path().join("config");
                let pack = self.stand.deployment.dir().join("bin/cfg-pack");
                let script = format!(
                    "object='{OBJECT}' config='{}' pack='{}'\nmkdir \"$config\"\ntar xzf config.tar.gz -C \"$config\"\n\
                     {script}\n\"$pack\" create --quiet --root \"$config\" .env secrets certs > new\n\
                     mv new config.tar.gz\nrm -r \"$config\"\n",
                    config.display(),
                    pack.display()
                );
                sh(copy, &script).map(drop)
            }
        }
    }

    fn in_postgres(&self, sql: &str) -> Result<()> {
        self.stand.deployment.psql_in("postgres", sql).map(drop)
    }

    /// The deployment's database as it was.
    fn as_before(&self) -> Result<()> {
        self.in_postgres(&format!("drop database {DATABASE} with (force)"))?;
        self.in_postgres(&format!("create database {DATABASE} template pristine"))
    }

    fn dump(&self, database: &str, copy: &Path) -> Result<()> {
        let script = format!("PGDATABASE={database} exec pg-snap --quiet dump");
        let mut command = self.stand.deployment.stage("sh", &["-c", &script]);
        command.stdout(std::fs::File::create(copy.join("database.sql.gz"))?).stdin(Stdio::null());
        ensure!(command.status()?.success(), "pg-snap dump failed");
        Ok(())
    }

    /// Describes and seals the copy, which then verifies as intact.
    fn seal(&self, copy: &Path) -> Result<()> {
        let bin = self.stand.deployment.dir().join("bin");
        let script = format!(
            "export PATH='{}':$PATH PIPRIO_DOMAIN={DOMAIN} PIPRIO_VERSION=4.2.1\n\
             bundle-manifest describe . > ../manifest && mv ../manifest MANIFEST.txt\n\
             bundle-manifest --quiet sums . > ../sums && mv ../sums SHA256SUMS\n\
             bundle-manifest verify .",
            bin.display()
        );
        let verified = sh(copy, &script)?;
        ensure!(verified.trim_end().ends_with(" intact"), "{verified}");
        Ok(())
    }
}

#[test]
fn every_damage_that_a_new_seal_hides_is_found_and_named() -> Result<()> {
    let stand = Stand::new(200)?;
    let mut bench = Bench { stand: &stand, dir: tempfile::tempdir()?, made: 0 };
    bench.in_postgres(&format!("create database pristine template {DATABASE}"))?;
    let healthy = bench.copy()?;
    bench.seal(&healthy)?;
    let report = stand.report(&healthy, 0)?;
    assert_eq!((report.result, findings(&report)), (DrillResult::Passed, Vec::new()));
    let mut missed = Vec::new();
    for (what, damage, named) in CASES {
        let copy = bench.copy()?;
        bench.damage(&damage, &copy).with_context(|| what.to_owned())?;
        bench.seal(&copy).with_context(|| what.to_owned())?;
        let report = stand.report(&copy, 1)?;
        let found = findings(&report);
        if !found.iter().any(|line| line.contains(named)) {
            missed.push(format!("{what}: {named}\n    {}", found.join("\n    ")));
        }
        std::fs::remove_dir_all(&copy)?;
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    Ok(())
}

#[test]
fn a_bundle_that_was_changed_since_its_last_drill_and_a_dump_of_another_tool_are_found()
-> Result<()> {
    let stand = Stand::new(40)?;
    let mut bench = Bench { stand: &stand, dir: tempfile::tempdir()?, made: 0 };
    let copy = bench.copy()?;
    bench.seal(&copy)?;
    let first = stand.report(&copy, 0)?;
    sh(&copy, "gunzip -c database.sql.gz | gzip > new && mv new database.sql.gz")?;
    bench.seal(&copy)?;
    let report = stand.report(&copy, 1)?;
    let found = findings(&report);
    let changed = format!("the bundle was changed since {}", first.drill);
    assert!(found.iter().any(|line| line.contains(&changed)), "{found:?}");
    assert!(found.iter().any(|line| line.contains("index of the dump: missing")), "{found:?}");
    assert_eq!((report.result, found.len()), (DrillResult::Finding, 2), "{found:?}");
    let listed = run(stand.deployment.script("restore.sh", &[]), "")?.expect(0);
    assert!(
        !listed.stdout.contains("drilled"),
        "the bundle itself was not drilled: {}",
        listed.stdout
    );
    Ok(())
}
