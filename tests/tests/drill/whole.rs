//! A whole drill: it passes, and nothing of it is left but the report.

use crate::kit::{CREDENTIAL, Stand, files, findings, marked, processes, temporary};
use anyhow::{Context, Result};
use bundle_format::report::{DrillResult, DrillVerdict};
use std::path::Path;
use test_kit::deployment::{APPS, STATEFUL, run, sh};
use test_kit::trace;

/// Everything of the deployment that a drill must leave alone.
fn production(stand: &Stand) -> Result<String> {
    let deployment = &stand.deployment;
    let databases =
        deployment.psql_in("postgres", "select datname, oid from pg_database order by 1")?;
    let roles = deployment.psql_in("postgres", "select rolname from pg_roles order by 1")?;
    let started = deployment.psql_in("postgres", "select pg_postmaster_start_time()")?;
    let mut services = String::new();
    for service in APPS.iter().chain(&STATEFUL) {
        let pid = deployment.pid(service)?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let begun = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19));
        services += &format!("{service} {pid} {}\n", begun.context("a start time")?);
    }
    let session = deployment.redis(&["GET", "session:1"])?;
    let state = deployment.state()?;
    let files = files(deployment.dir())?;
    Ok([databases, roles, started, services, session, state, files].join("\n----\n"))
}

#[test]
fn a_drill_passes_and_leaves_nothing_but_its_report() -> Result<()> {
    let stand = Stand::new(40)?;
    let before = production(&stand)?;
    let mark = format!("whole-{}", std::process::id());
    let temporary = temporary()?;
    let script = stand.deployment.script("drill.sh", &[]);
    let run = run(marked(script, &mark, temporary.path()), "")?.expect(0);
    let reports = stand.reports()?;
    assert_eq!(run.stdout.trim_end(), reports[0].to_str().unwrap());
    assert_eq!(production(&stand)?, before);
    assert_eq!(processes(&mark)?, Vec::<String>::new());
    assert_eq!(sh(temporary.path(), "ls -A")?, "");
    assert_eq!(sh(&stand.drill_dir(), "ls -A")?, "lock\n");

    let report = std::fs::read(reports[0].join("report.json"))?;
    let report: bundle_format::report::DrillReport = serde_json::from_slice(&report)?;
    assert_eq!(report.result, DrillResult::Passed, "{:?}", findings(&report));
    let passed = |step: &str, check: &str| {
        let found = report.checks.iter().find(|c| c.step == step && c.check == check);
        found.is_some_and(|c| c.verdict == DrillVerdict::Pass)
    };
    for (step, check) in [
        ("validate", "bundle"),
        ("load", "rows and objects"),
        ("compare", "database against its dump"),
        ("compare", "indexes and sequences"),
        ("objects", "objects that rows name"),
        ("config", "files that settings name"),
        ("config", "database of the dump"),
        ("checks", "recent-rows.sql"),
        ("checks", "tenants.sql"),
        ("checks", "credential.sh"),
    ] {
        assert!(passed(step, check), "{step}: {check}: {:?}", report.checks);
    }
    assert!(report.goals.rto_seconds.is_some() && report.goals.rpo_seconds.is_some());
    assert_eq!(report.rows["tenant_0001"], report.rows["tenant_0002"] + 1, "the credential");
    let record = std::fs::read(stand.deployment.dir().join(".restore/last-drill.json"))?;
    let record: serde_json::Value = serde_json::from_slice(&record)?;
    assert_eq!((&record["status"], &record["drill"]["result"]), (&0.into(), &"passed".into()));
    assert_eq!(record["stages"].as_array().context("stages")?.len(), report.steps.len());
    Ok(())
}

#[test]
fn no_secret_is_in_the_report_the_log_or_a_command_line() -> Result<()> {
    let stand = Stand::new(40)?;
    let secrets = stand.deployment.dir().join("secrets");
    let key = std::fs::read(secrets.join("credential_encryption_key"))?;
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let signing = std::fs::read_to_string(secrets.join("signing_key"))?.trim().to_owned();
    let facts = stand.deployment.facts();
    let planted = [
        facts.postgres_password.as_str(),
        &facts.s3_secret_key,
        &facts.redis_password,
        "p4ss # \"word\" $HOME",
        "c2Z0cC1zZWNyZXQ=",
        &key,
        &signing,
        std::str::from_utf8(CREDENTIAL)?,
    ];
    // Checks that print what they should not, and one that fails with it.
    stand.add_check("leak.sh", "cat $DRILL_CONFIG/secrets/* $DRILL_CONFIG/.env; env; exit 1\n")?;
    stand.add_check(
        "hex.sh",
        "od -An -v -tx1 $DRILL_CONFIG/secrets/credential_encryption_key | tr -d ' \\n' >&2; exit 1\n",
    )?;
    let cast = format!("select '{}'::int;\n", facts.s3_secret_key);
    stand.add_check("fails.sql", &cast)?;
    stand.add_check("row.sql", &format!("select '{signing}';\n"))?;
    let command = stand.deployment.script("drill.sh", &["--newest", "--json"]);
    let mut texts = Vec::new();
    match trace::why_not()? {
        Some(why) => {
            test_kit::skipped!("command lines of a drill, because {why}");
            let run = run(command, "")?.expect(1);
            texts.extend([("stdout", run.stdout), ("stderr", run.stderr)]);
        }
        None => {
            let options = ["-v", "-s", "100000", "-e", "trace=execve"];
            let traced = trace::run(&command, &options)?;
            let run = traced.run.expect(1);
            // The environment of a process is not its command line.
            let lines =
                traced.trace.lines().map(|line| line.split("], [").next().unwrap_or_default());
            texts.push(("a command line", lines.collect::<Vec<_>>().join("\n")));
            texts.extend([("stdout", run.stdout), ("stderr", run.stderr)]);
        }
    }
    for path in walk(&stand.deployment.dir().join(".drills"))? {
        texts.push(("the report", String::from_utf8_lossy(&std::fs::read(path)?).into_owned()));
    }
    texts.push((
        "the record",
        std::fs::read_to_string(stand.deployment.dir().join(".restore/last-drill.json"))?,
    ));
    for (what, text) in &texts {
        for secret in planted {
            let json = serde_json::to_string(secret)?;
            for form in [secret, json.trim_matches('"')] {
                let line = text.lines().find(|line| line.contains(form));
                assert!(line.is_none(), "{what} holds {form:?}: {line:?}");
            }
        }
    }
    let masked = texts.iter().any(|(what, text)| *what == "the report" && text.contains("***"));
    assert!(masked, "nothing was masked");
    Ok(())
}

fn walk(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let walk = walkdir::WalkDir::new(dir).into_iter();
    let files = walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    Ok(files.map(walkdir::DirEntry::into_path).collect())
}

#[test]
fn secrets_whose_names_are_no_printable_text_are_no_finding() -> Result<()> {
    let stand = Stand::without_checks(3)?;
    let script =
        "touch \"$(printf 'secrets/a\\nb')\" \"$(printf 'secrets/caf\\351')\"; chmod 600 secrets/*";
    sh(stand.deployment.dir(), script)?;
    stand.deployment.backup(&[])?.expect(0);
    let report = stand.report(&stand.deployment.newest_bundle()?, 0)?;
    assert_eq!(findings(&report), Vec::<String>::new());
    Ok(())
}
