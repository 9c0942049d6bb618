//! Backup and restore of the customer's deployment.

use crate::kit::{CREDENTIAL, DOMAIN, Deploy, Host};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use test_kit::deployment::sh;
use test_kit::process::wait_until;

const STATEFUL: [&str; 3] = ["minio", "postgres", "redis"];
const APPS: [&str; 4] = ["api", "scheduler", "web", "worker"];

fn answers(config: &str) -> String {
    format!("{DOMAIN}\n{config}\n")
}

/// Every file of the configuration, with its hash.
fn files(deploy: &Deploy) -> Result<String> {
    sh(&deploy.dir, "find .env secrets certs -type f ! -name '*.before-*' | sort | xargs sha256sum")
}

/// What a disaster does: rows, objects and files are gone or others.
fn wreck(deploy: &Deploy) -> Result<()> {
    let sql = "drop schema tenant_0001 cascade; create table public.intruder ()";
    deploy.psql(sql)?;
    sh(&deploy.dir, "mkdir wreck && echo x > wreck/intruder")?;
    let dir = deploy.file("wreck").display().to_string();
    deploy.stage(&["obj-mirror", "--delete", &dir, "s3://documents"])?.expect(0);
    sh(&deploy.dir, "head -c 32 /dev/zero > secrets/credential_encryption_key")?;
    deploy.set("STRAY_SETTING=1")
}

/// Notes every state but `running` that a service shows while a restore runs.
fn watched(deploy: &Deploy, mut child: Child, services: &[&str]) -> Result<(String, String)> {
    let mut seen = String::new();
    let mut apps_down = false;
    while child.try_wait()?.is_none() {
        let ps = deploy.compose("ps")?;
        let down =
            |service: &&str| !ps.lines().any(|line| line.contains(service) && line.contains("Up"));
        apps_down |= APPS.iter().all(down);
        for service in services.iter().filter(|service| down(service)) {
            seen += &format!("{service} was not up:\n{ps}\n");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    if !apps_down {
        seen += "the application was never down\n";
    }
    let out = child.wait_with_output()?;
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{words}");
    Ok((seen, words))
}

#[test]
fn the_whole_state_comes_back_while_database_cache_and_storage_stay_up() -> Result<()> {
    let Some(host) = Host::with_product()? else { return Ok(()) };
    let deploy = host.existing("deploy");
    let (state, config) = (deploy.state()?, files(&deploy)?);
    let bundle = deploy.backup()?;
    wreck(&deploy)?;
    // A job that is lost.
    deploy.driver(&["stop", "worker"]).expect(0);
    deploy.redis("LPUSH jobs 1 2 3");
    let before = deploy.started(&STATEFUL)?;

    let mut command = deploy.script("restore.sh", &[]);
    command.arg(&bundle).arg("--force-config");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("stdin")?, answers("y").as_bytes())?;
    let (seen, words) = watched(&deploy, child, &STATEFUL)?;
    assert_eq!(seen, "", "{words}");
    assert_eq!(deploy.started(&STATEFUL)?, before, "{words}");
    // The three, and the scheduler's note that it is alive.
    assert!(words.contains("it is empty now, and jobs queued in it are lost"), "{words}");
    assert!(words.contains("the cache held "), "{words}");
    deploy.wait_until_ready()?;
    assert_eq!(deploy.state()?, state);
    assert_eq!(files(&deploy)?, config);
    assert_eq!(deploy.redis("LLEN jobs"), "0\n");
    assert_eq!(deploy.psql("select to_regclass('public.intruder') is null")?, "t\n");
    deploy.run("health-check.sh", &[], "")?.expect(0);
    Ok(())
}

#[test]
fn a_bundle_made_under_load_has_an_object_for_every_row() -> Result<()> {
    let Some(host) = Host::with_product()? else { return Ok(()) };
    let deploy = host.existing("deploy");
    let is_done = AtomicBool::new(false);
    let (bundle, written) = std::thread::scope(|scope| -> Result<_> {
        let write = || {
            let mut count = 0u32;
            while !is_done.load(Ordering::Relaxed) {
                deploy.report("POST", "/documents", &crate::kit::random())?;
                count += 1;
            }
            anyhow::Ok(count)
        };
        let writers: Vec<_> = (0..3).map(|_| scope.spawn(write)).collect();
        let count = |text: Result<String>| Ok(text?.lines().count());
        let begun = wait_until("the writers", || {
            count(deploy.report("GET", "/documents", "")).map(|n| n > 30)
        });
        let bundle = begun.and_then(|()| deploy.backup());
        is_done.store(true, Ordering::Relaxed);
        let mut written = 0;
        for writer in writers {
            written += writer.join().expect("a writer")?;
        }
        Ok((bundle?, written))
    })?;
    let now = deploy.report("GET", "/documents", "")?.lines().count();
    assert_eq!(now, written as usize + 12);

    deploy.run("restore.sh", &[&bundle.display().to_string()], &answers("n"))?.expect(0);
    deploy.wait_until_ready()?;
    let rows = deploy.report("GET", "/documents", "")?;
    let restored = rows.lines().count();
    assert!(restored > 30 && restored < now, "{restored} of {now}: nothing was written meanwhile");
    for row in rows.lines() {
        let mut words = row.split(' ');
        let (id, hash) = (words.next().context("id")?, words.next().context("hash")?);
        let body = deploy.ask("GET", &format!("/documents/{id}"), "")?;
        assert_eq!(body.status, 200, "document {id}");
        let got = test_kit::s3::object::hex(&<sha2::Sha256 as sha2::Digest>::digest(&body.body));
        assert_eq!(got, hash, "document {id}");
    }
    println!("{restored} of {now} documents were in the bundle, each with its object");
    Ok(())
}

/// Ends a restore by Ctrl-C once a line was read; returns what it printed.
fn interrupted(deploy: &Deploy, bundle: &Path, line: &str) -> Result<String> {
    let printed = tempfile::NamedTempFile::new()?;
    let mut command = deploy.script("restore.sh", &[]);
    command.arg(bundle).args(["--confirm", DOMAIN, "--config", "no"]).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::null()).stderr(printed.reopen()?).spawn()?;
    let words = || std::fs::read_to_string(printed.path());
    wait_until(line, || Ok(words()?.contains(line) || child.try_wait()?.is_some()))?;
    sh(&deploy.dir, &format!("kill -INT {}", child.id()))?;
    wait_until("the end", || Ok(child.try_wait()?.is_some()))?;
    let words = words()?;
    assert_eq!(child.wait()?.code(), Some(130), "{words}");
    Ok(words)
}

#[test]
fn a_restore_that_is_interrupted_while_services_are_stopped_reports_that_and_resumes() -> Result<()>
{
    let Some(host) = Host::with_product()? else { return Ok(()) };
    let deploy = host.existing("deploy");
    let state = deploy.state()?;
    let bundle = deploy.backup()?;
    wreck(&deploy)?;
    sh(&deploy.dir, &format!("tar xzf '{}/config.tar.gz' secrets", bundle.display()))?;
    // Slow enough that the interrupt meets it.
    sh(
        &deploy.dir,
        "mv bin/obj-mirror bin/.obj-mirror && printf '#!/bin/sh\\n[ \"$1\" != --delete ] || sleep 60\\nexec \"${0%%/*}/.obj-mirror\" \"$@\"\\n' > bin/obj-mirror && chmod 755 bin/obj-mirror",
    )?;
    let words = interrupted(&deploy, &bundle, "[7/11] objects …")?;
    assert!(words.contains("half restored; api scheduler web worker are left stopped"), "{words}");
    assert!(words.contains("--resume"), "{words}");
    let ps = deploy.ps();
    assert!(APPS.iter().all(|app| ps.contains(&format!("{app} stopped\n"))), "{ps}");
    assert!(STATEFUL.iter().all(|name| ps.contains(&format!("{name} running\n"))), "{ps}");
    deploy.run("backup.sh", &[], "")?.expect(5);

    sh(&deploy.dir, "mv bin/.obj-mirror bin/obj-mirror")?;
    let arguments = [&bundle.display().to_string(), "--resume"];
    deploy.run("restore.sh", &arguments, &answers("n"))?.expect(0);
    let ps = deploy.ps();
    assert!(ps.lines().all(|line| line.ends_with(" running")) && ps.lines().count() == 7, "{ps}");
    assert_eq!(deploy.state()?, state);
    assert!(deploy.state()?.contains(CREDENTIAL));
    Ok(())
}
