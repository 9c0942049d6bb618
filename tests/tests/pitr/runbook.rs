//! The lists of docs/PITR.md, typed exactly.

use crate::kit::{Host, name_objects};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use test_kit::deployment::{BUCKET, DOMAIN, Run};
use test_kit::process::wait_until;
use test_kit::tools::workspace;

/// The examples of the page.
const TIME: &str = "2026-11-29 13:05:00+00";
const BEFORE: &str = "piprio_20261129T040000Z";
const AFTER: &str = "piprio_20261130T040000Z";

/// Something that the page has for its reader to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A line to be typed, and the answers to what it asks.
    Type(String, String),
    /// A line of pgBackRest's configuration.
    Set(String),
}

/// What a section has for its reader to do, in order. An answer follows its question, as on the terminal.
fn steps(page: &str, heading: &str) -> Result<Vec<Step>> {
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).context("no such section")?;
    let (mut steps, mut is_block) = (Vec::new(), false);
    for line in section.split("\n## ").next().unwrap_or_default().lines().map(str::trim) {
        if line.starts_with("```") {
            is_block = !is_block;
        } else if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step::Type(command.to_owned(), String::new()));
        } else if let Some((_, answer)) = line.split_once("domain to continue: ") {
            let Some(Step::Type(_, answers)) = steps.last_mut() else { continue };
            *answers += &format!("{answer}\n");
        } else if is_block
            && line
                .split('=')
                .next()
                .is_some_and(|name| name.ends_with("-path") || name.ends_with("-port"))
        {
            steps.push(Step::Set(line.to_owned()));
        }
    }
    Ok(steps)
}

fn section(heading: &str) -> Result<Vec<Step>> {
    steps(&std::fs::read_to_string(workspace().join("docs/PITR.md"))?, heading)
}

/// What stands in the place of the page's examples.
struct Actual {
    time: String,
    before: String,
    after: String,
}

impl Actual {
    /// The same bundles, with another time.
    fn at(&self, time: &str) -> Self {
        Self { time: time.to_owned(), before: self.before.clone(), after: self.after.clone() }
    }

    fn in_place(&self, command: &str) -> String {
        command.replace(TIME, &self.time).replace(BEFORE, &self.before).replace(AFTER, &self.after)
    }
}

/// Runs all commands of the steps; each command with how it ended.
fn follow(host: &Host, steps: &[Step], actual: &Actual) -> Result<Vec<(String, Run)>> {
    let mut done = Vec::new();
    for step in steps {
        match step {
            Step::Set(line) => host.set(line)?,
            Step::Type(command, answers) => {
                let command = actual.in_place(command);
                let mut ended = host.typed(&command, answers)?.expect(0);
                // What the page has its reader repeat.
                if command.contains("pg_is_in_recovery") {
                    wait_until("the replay to end", || {
                        ended = host.typed(&command, answers)?.expect(0);
                        Ok(ended.stdout.starts_with("f|"))
                    })?;
                }
                done.push((command, ended));
            }
        }
    }
    Ok(done)
}

/// The one command that contains a text.
fn one<'a>(done: &'a [(String, Run)], text: &str) -> Result<&'a (String, Run)> {
    let mut found = done.iter().filter(|(command, _)| command.contains(text));
    let first = found.next().with_context(|| format!("no command with {text}"))?;
    ensure!(found.next().is_none(), "more than one command with {text}");
    Ok(first)
}

fn name(bundle: &Path) -> Result<String> {
    Ok(bundle.file_name().context("a bundle's name")?.to_string_lossy().into_owned())
}

/// A day in the life of the deployment, with a mistake in it.
struct Day {
    actual: Actual,
    /// A time before anything of the day.
    morning: String,
    rows_in_the_morning: String,
    /// The rows at the chosen time.
    rows: String,
    /// A time after the mistake.
    evening: String,
    rows_in_the_evening: String,
    named: usize,
    encryption_key: Vec<u8>,
}

const DELETED: &str = "deleted after the mistake";
const SWEPT: &str = "written and swept between bundles/Größe";
const KEPT: &str = "written after the bundle";
const LATE: &str = "written after the mistake";
const REPLACED: &str = "replaced";
const KEY: &str = "secrets/credential_encryption_key";

impl Day {
    fn live(host: &Host) -> Result<Self> {
        let deployment = &host.deployment;
        let mut named = name_objects(deployment)?;
        for key in [DELETED, REPLACED] {
            host.add(key, "of the night")?;
        }
        deployment.backup(&[])?.expect(0);
        let before = name(&deployment.newest_bundle()?)?;
        let (rows_in_the_morning, morning) = (host.rows()?, host.now()?);

        for key in [SWEPT, KEPT] {
            host.add(key, "of the day")?;
        }
        deployment.s3().put((BUCKET, REPLACED), &[], b"of the day")?;
        deployment.psql("update tenant_0001.documents set title = 'of the day' where id < 9")?;
        named += 4;
        let (rows, time) = (host.rows()?, host.now()?);

        deployment.psql("drop schema tenant_0002 cascade; truncate public.files")?;
        host.delete(DELETED)?;
        host.add(LATE, "of the evening")?;
        let (rows_in_the_evening, evening) = (host.rows()?, host.now()?);
        // The last change before a target is recognized by one after it.
        deployment.psql("insert into public.schema_migrations values ('night', 'night', now())")?;
        let encryption_key = std::fs::read(host.deploy().join(KEY))?;
        std::fs::write(host.deploy().join(KEY), [7; 32])?;
        for command in host.scheduled()? {
            let ended = host.typed(&command, "")?.expect(0);
            assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""), "{command}");
        }
        deployment.backup(&[])?.expect(0);
        let after = name(&deployment.newest_bundle()?)?;
        host.delete(SWEPT)?;
        // No bundle has this content.
        deployment.s3().put((BUCKET, REPLACED), &[], b"of the evening")?;
        Ok(Self {
            actual: Actual { time, before, after },
            morning,
            rows_in_the_morning,
            rows,
            evening,
            rows_in_the_evening,
            named,
            encryption_key,
        })
    }
}

/// Where a command that contains a text is.
fn position(steps: &[Step], text: &str) -> Result<usize> {
    let is_it = |step: &Step| matches!(step, Step::Type(command, _) if command.contains(text));
    steps.iter().position(is_it).with_context(|| format!("no command with {text}"))
}

#[test]
fn the_rows_are_those_of_the_chosen_time_and_each_object_that_they_name_exists() -> Result<()> {
    let Some(host) = Host::new()? else { return Ok(()) };
    let nothing = Actual { time: TIME.into(), before: BEFORE.into(), after: AFTER.into() };
    follow(&host, &section("Set up")?, &nothing)?;
    let day = Day::live(&host)?;
    let bundles = host.deployment.bundles()?.len();

    let steps = section("Return to a point in time")?;
    let restore = position(&steps, "stop postgres")?;
    let rows = &steps[restore..=position(&steps, "pg_is_in_recovery")?];
    follow(&host, &steps[..restore], &day.actual)?;
    // First with a time that is wrong, to come back from.
    follow(&host, rows, &day.actual.at(&day.morning))?;
    assert!(host.rows()? == day.rows_in_the_morning, "the rows are not those of the morning");
    let done = follow(&host, &steps[restore..], &day.actual)?;
    check(&host, &day, &done)?;
    assert_eq!(host.deployment.bundles()?.len(), bundles + 2);

    // A time that the server left when it went back.
    follow(&host, rows, &day.actual.at(&day.evening))?;
    assert!(host.rows()? == day.rows_in_the_evening, "the rows are not those of the evening");
    host.lose_server()?;
    host.typed("sudo install -d -m 700 -o postgres /etc/pgbackrest", "")?.expect(0);
    let conf = "sudo install -m 600 -o postgres deploy/secrets/pgbackrest.conf /etc/pgbackrest/pgbackrest.conf";
    host.typed(conf, "")?.expect(0);
    follow(&host, rows, &day.actual)?;
    assert!(host.rows()? == day.rows, "the rows are not those of the chosen time");
    let backup = &steps[position(&steps, "--type=full backup")?];
    follow(&host, std::slice::from_ref(backup), &day.actual)?;
    unreachable_targets(&host, rows, &day)
}

/// The table of problems: a target before every backup, and one after every change.
fn unreachable_targets(host: &Host, rows: &[Step], day: &Day) -> Result<()> {
    let [stop, Step::Type(restore, _), start, look] = rows else { bail!("other commands") };
    let only = |step: &Step| follow(host, std::slice::from_ref(step), &day.actual);
    only(stop)?;
    let early = day.actual.at("2001-01-01 00:00:00+00").in_place(restore);
    let refused = host.typed(&early, "")?;
    assert_ne!(refused.status, 0);
    assert!(refused.stderr.contains("unable to find backup set"), "{}", refused.stderr);
    only(start)?;
    assert!(host.rows()? == day.rows, "a refused restore changed the rows");

    let time = host.deployment.psql("select clock_timestamp() + interval '1 hour'")?;
    let late = day.actual.at(&time).in_place(restore);
    only(stop)?;
    host.typed(&late, "")?.expect(0);
    let Step::Type(start_command, _) = start else { bail!("not a command") };
    // It may have answered before it found the end of the WAL.
    host.typed(start_command, "")?;
    wait_until("the server's end", || {
        Ok(host.deployment.ps()?.contains(&("postgres".to_owned(), "stopped".to_owned())))
    })?;
    let (command, _) = late.split_once(" --type=time").context("no --type=time")?;
    host.typed(&format!("{command} --type=default restore"), "")?.expect(0);
    only(start)?;
    only(look)?;
    assert!(host.rows()? == day.rows, "the rows are not those of the end of the WAL");
    Ok(())
}

fn check(host: &Host, day: &Day, done: &[(String, Run)]) -> Result<()> {
    assert!(host.rows()? == day.rows, "the rows are not those of the chosen time");
    let (check, found) = one(done, "comm -23")?;
    assert_eq!(found.stdout, format!("{}\n", day.named));
    let bodies = [DELETED, SWEPT, KEPT, REPLACED, LATE].map(|key| host.body(key).ok());
    let expected = ["of the night", "of the day", "of the day", "of the evening", "of the evening"];
    assert_eq!(bodies, expected.map(|body| Some(body.to_owned())));
    assert_eq!(std::fs::read(host.deploy().join(KEY))?, day.encryption_key);
    assert_eq!(host.deployment.redis(&["DBSIZE"])?, "0");
    assert!(host.deployment.ps()?.iter().all(|(_, state)| state == "running"));
    assert!(!host.deploy().join(".restore/unfinished.json").exists());
    // Without its key, the repository is lost with the host.
    let list =
        format!("deploy/bin/cfg-pack list deploy/backups/{}/config.tar.gz", day.actual.before);
    assert!(host.typed(&list, "")?.expect(0).stdout.contains("secrets/pgbackrest.conf"));

    // The check names what is missing, and does not take an unreadable side for an empty one.
    host.delete(SWEPT)?;
    let found = host.typed(check, "")?.expect(0);
    assert_eq!(found.stdout, format!("{}\n{SWEPT}\n", day.named));
    host.deployment.psql("alter table public.files rename to renamed")?;
    let failed = host.typed(check, "")?;
    assert!(failed.status != 0 && failed.stdout.is_empty());
    Ok(())
}

#[test]
fn a_section_is_read_as_commands_settings_and_answers() -> Result<()> {
    let page = "# x\n$ no\n## A\n`a`\n```\nx-path=/y\n```\n$ b c\n…\ndomain to continue: d.e\n## B\n$ no\n";
    let expected = [Step::Set("x-path=/y".into()), Step::Type("b c".into(), "d.e\n".into())];
    assert_eq!(steps(page, "A")?, expected);
    let restore = section("Return to a point in time")?;
    let asked = restore.iter().find_map(|step| match step {
        Step::Type(command, answers) if command.contains("restore.sh") => Some(answers.as_str()),
        _ => None,
    });
    assert_eq!(asked, Some(format!("{DOMAIN}\n").as_str()));
    Ok(())
}
