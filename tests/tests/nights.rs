//! The hour of the timer and of cron: a time that exists on every night of the year, in every zone. At an hour that
//! a change of the clock skips, systemd starts nothing.
#![allow(clippy::print_stdout, reason = "a skipped test reports why")]

use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use test_kit::skipped;
use test_kit::tools::workspace;

/// The time of a night, as the template's line has it.
fn times() -> Result<Vec<String>> {
    let read = |name: &str| std::fs::read_to_string(workspace().join("contrib").join(name));
    let timer = read("systemd/piprio-backup.timer")?;
    let calendar = timer.lines().find_map(|line| line.strip_prefix("OnCalendar=*-*-* "));
    let cron = read("cron/piprio-backup")?;
    let fields: Vec<&str> =
        cron.lines().last().context("an empty template")?.split_whitespace().collect();
    ensure!(fields[2..5] == ["*", "*", "*"], "not every night: {fields:?}");
    let mut times = vec![
        calendar.context("no OnCalendar for every night")?.to_owned(),
        format!("{:0>2}:{:0>2}:00", fields[1], fields[0]),
    ];
    // Of pgBackRest's jobs, the backups; a check of every hour has no time.
    let jobs = read("pgbackrest/cron")?;
    let jobs = jobs.lines().filter(|line| line.ends_with(" backup"));
    times.extend(jobs.filter_map(|job| {
        let (minute, rest) = job.split_once(' ')?;
        Some(format!("{:0>2}:{minute:0>2}:00", rest.split_whitespace().next()?))
    }));
    ensure!(times.len() == 4, "{times:?}");
    Ok(times)
}

/// How many of those local times a zone has.
fn existing(zone: &str, times: &str) -> Result<usize> {
    let mut command = Command::new("date");
    command.args(["-f", "-", "+%F %T"]).env("TZ", zone).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().context("no pipe")?;
    let written = times.to_owned();
    let writer =
        std::thread::spawn(move || std::io::Write::write_all(&mut input, written.as_bytes()));
    let out = child.wait_with_output()?;
    writer.join().ok().context("the writer panicked")??;
    // One line for each time that exists; for the others, an error.
    Ok(String::from_utf8(out.stdout)?.lines().count())
}

#[test]
fn the_nightly_run_exists_on_every_night_in_every_zone() -> Result<()> {
    let table = Path::new("/usr/share/zoneinfo/zone1970.tab");
    let Ok(table) = std::fs::read_to_string(table) else {
        skipped!("no time zones are installed");
        return Ok(());
    };
    let zones = table.lines().filter(|line| !line.starts_with('#'));
    let zones: Vec<&str> = zones.filter_map(|line| line.split('\t').nth(2)).collect();
    ensure!(zones.len() > 200, "{} zones", zones.len());
    let first = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).context("a date")?;
    for time in times()? {
        let mut nights = String::new();
        for day in first.iter_days().take(3 * 366) {
            writeln!(nights, "{day} {time}")?;
        }
        let skipping = |zone: &&&str| existing(zone, &nights).is_ok_and(|n| n != 3 * 366);
        let skipping: Vec<_> = zones.iter().filter(skipping).collect();
        ensure!(skipping.is_empty(), "at {time}, nights are missing in {skipping:?}");
    }
    Ok(())
}
