//! Bundles that were made by an earlier version of the toolkit.

use super::kit::*;
use anyhow::{Context, Result};
use test_kit::deployment::{Deployment, Options, sh};
use test_kit::tools::workspace;

/// Each table's rows as one hash, whatever the server's major.
const ROWS: &str = r#"set timezone to 'UTC';
    select string_agg(format('%I.%I %s', schemaname, tablename,
        md5(query_to_xml(format('select t::text collate "C" as line from %I.%I t order by 1', schemaname, tablename),
                         true, false, '')::text)), E'\n' order by schemaname collate "C", tablename collate "C")
    from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"#;

/// What the restored deployment must hold: a line each table, then a line each object.
fn content(deployment: &Deployment) -> Result<String> {
    let state = deployment.state()?;
    let (_, objects) = state.split_once("\n## objects\n").context("no objects")?;
    let (objects, _) = objects.split_once("\n## config\n").context("no config")?;
    Ok(format!("{}\n{objects}", deployment.psql(ROWS)?))
}

#[test]
fn bundles_of_earlier_versions_restore() -> Result<()> {
    let fixtures = workspace().join("tests/fixtures/bundles");
    let mut archives = Vec::new();
    for entry in std::fs::read_dir(&fixtures)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        archives.extend(name.strip_suffix(".tar.gz").map(str::to_owned));
    }
    assert!(!archives.is_empty());
    for name in archives {
        let deployment = Deployment::temporary(&Options::default())?;
        let root = deployment.dir().join("backups");
        let archive = fixtures.join(format!("{name}.tar.gz"));
        sh(
            deployment.dir(),
            &format!("mkdir -p -m 700 backups && tar -C backups -xpzf '{}'", archive.display()),
        )?;
        let wanted = std::fs::read_to_string(fixtures.join(format!("{name}.content")))?;
        deployment.psql("drop schema tenant_0002 cascade; create table public.later (n int)")?;
        deployment.restore(&root.join(&name), &["--config", "no"], &answers("n"))?.expect(0);
        assert_eq!(content(&deployment)?, wanted, "{name}");
    }
    Ok(())
}
