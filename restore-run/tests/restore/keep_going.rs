//! A restore whose dump holds what cannot be made again: rows come back, and what is missing is named.

use super::kit::*;
use anyhow::{Context, Result};
use std::path::PathBuf;
use test_kit::deployment::{Deployment, sh};

/// A deployment whose bundle holds an invoice without its customer.
fn with_an_orphan() -> Result<(Deployment, PathBuf)> {
    let (deployment, _) = with_bundle()?;
    deployment.psql(
        "create table public.customer (id int primary key);
         create table public.invoice (id int primary key, customer int references public.customer);
         alter table public.invoice disable trigger all;
         insert into public.invoice values (1, 424242);
         alter table public.invoice enable trigger all",
    )?;
    sh(deployment.dir(), "rm -rf backups/piprio_*")?;
    deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    deployment.psql("insert into public.customer values (424242)")?;
    Ok((deployment, bundle))
}

#[test]
fn an_orphan_costs_the_restore_only_without_keep_going() -> Result<()> {
    let (deployment, bundle) = with_an_orphan()?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(1);
    for word in ["invoice_customer_fkey", "424242", "--keep-going", "the old database is as it was"]
    {
        assert!(run.stderr.contains(word), "no {word}: {}", run.stderr);
    }
    assert_eq!(deployment.psql("select count(*) from public.customer")?, "1");
    deployment.health_check()?.expect(0);

    let run = deployment.restore(&bundle, &["--keep-going"], &answers("n"))?.expect(3);
    let rows = "select (select count(*) from public.invoice) || ' ' || (select count(*) from public.customer)";
    assert_eq!(deployment.psql(rows)?, "1 0");
    let named =
        run.stderr.lines().find(|l| l.contains("invoice_customer_fkey")).context("not named")?;
    assert!(named.contains("424242"), "{named}");
    let left_out = deployment.dir().join(".restore/left-out.sql");
    assert!(std::fs::read_to_string(left_out)?.contains("VALIDATE CONSTRAINT"));
    // What was left out may be in the old database alone.
    assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres");
    deployment.health_check()?.expect(0);
    // The restore counts as complete: backups run again.
    deployment.backup(&[])?.expect(0);
    Ok(())
}

#[test]
fn where_there_is_no_database_to_fall_back_on_rows_come_back_without_the_option() -> Result<()> {
    let (deployment, bundle) = with_an_orphan()?;
    deployment.psql_in("postgres", "drop database piprio with (force)")?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(3);
    assert_eq!(deployment.psql("select count(*) from public.invoice")?, "1", "{}", run.stderr);
    Ok(())
}

#[test]
fn what_a_load_left_out_is_known_though_the_restore_ended_right_after_the_swap() -> Result<()> {
    // A kill before the restore can record it, and a load that loses its connection at the swap.
    for (end, status) in [("kill -KILL $PPID; exit 0", 137), ("exit 1", 1)] {
        let (deployment, bundle) = with_an_orphan()?;
        let script = format!("[ \"$1\" = load ] && {{ \"$real\" \"$@\"; {end}; }}");
        stand_in(&deployment, "pg-snap", &script)?;
        deployment.restore(&bundle, &["--keep-going"], &answers("n"))?.expect(status);
        put_back(&deployment, "pg-snap")?;
        let run = deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(3);
        assert!(!run.stderr.contains("[6/11]"), "loaded again\n{}", run.stderr);
        assert!(run.stderr.contains("except for what was left out"), "{}", run.stderr);
        assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres");
    }
    Ok(())
}

/// Every stage can be replaced.
#[test]
fn a_load_that_records_nothing_still_says_by_its_status_whether_it_is_complete() -> Result<()> {
    let (deployment, bundle) = with_an_orphan()?;
    let script =
        r#"if [ "$1" = load ]; then "$real" "$@"; s=$?; rm .restore/loaded.json; exit $s; fi"#;
    stand_in(
        &deployment,
        "pg-snap",
        &script.replace(".restore", &deployment.dir().join(".restore").display().to_string()),
    )?;
    let run = deployment.restore(&bundle, &["--keep-going"], &answers("n"))?.expect(3);
    assert!(run.stderr.contains("complete except for what was left out"), "{}", run.stderr);
    put_back(&deployment, "pg-snap")?;
    deployment.health_check()?.expect(0);
    Ok(())
}
