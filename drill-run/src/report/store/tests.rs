//! The directory, as drills, operators and accidents leave it.

use super::*;
use crate::report::samples::passed;
use bundle_format::report::DrillRecord;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

fn deploy() -> (TempDir, Reports) {
    let deploy = tempfile::tempdir().unwrap();
    let reports = Reports::open(deploy.path(), &deploy.path().join(".restore"));
    (deploy, reports)
}

fn write(reports: &Reports, started: &str) -> String {
    let mut report = DrillReport { started: started.parse().unwrap(), ..passed() };
    let written = reports.write(&mut report).unwrap();
    assert_eq!(written.dir, reports.dir.join(&report.drill));
    assert_eq!(written.newest.drill, report.drill);
    record(reports, written.newest);
    report.drill
}

/// The record of a drill that has written this report.
fn record(reports: &Reports, newest: PreviousDrill) {
    let mut run = RunRecord::begin(chrono::DateTime::default(), "/b".into(), None);
    run.drill = Some(DrillRecord { newest_report: Some(newest), ..DrillRecord::default() });
    fs::create_dir_all(&reports.state).unwrap();
    fs::write(reports.state.join("last-drill.json"), serde_json::to_vec(&run).unwrap()).unwrap();
}

/// A history in which the clock was once in the future.
fn written(reports: &Reports) -> Vec<String> {
    let days = ["2026-04-01", "2026-04-08", "2038-01-19", "2026-04-15", "2026-04-22"];
    days.iter().map(|day| write(reports, &format!("{day}T03:30:00Z"))).collect()
}

fn copy(reports: &Reports) -> (TempDir, Reports) {
    let (deploy, other) = deploy();
    fs::create_dir(&other.dir).unwrap();
    for entry in fs::read_dir(&reports.dir).unwrap().map(Result::unwrap) {
        let target = other.dir.join(entry.file_name());
        if entry.path().is_file() {
            fs::copy(entry.path(), target).unwrap();
            continue;
        }
        fs::create_dir(&target).unwrap();
        for file in fs::read_dir(entry.path()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), target.join(file.file_name())).unwrap();
        }
    }
    fs::create_dir(&other.state).unwrap();
    let name = "last-drill.json";
    fs::copy(reports.state.join(name), other.state.join(name)).unwrap();
    (deploy, other)
}

fn drills(reports: &Reports) -> Vec<String> {
    reports.history().unwrap().into_iter().map(|report| report.drill).collect()
}

#[test]
fn a_report_is_written_whole_for_its_owner_alone_and_named_by_its_start() {
    let (_deploy, reports) = deploy();
    assert!(reports.history().unwrap().is_empty());
    assert!(reports.verify().unwrap().is_good());
    let first = write(&reports, "2026-04-21T03:30:12.9Z");
    let second = write(&reports, "2026-04-21T03:30:12.1Z");
    assert_eq!([&first, &second], ["drill_20260421T033012Z", "drill_20260421T033013Z"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode(&reports.dir), mode(&reports.dir.join(&first))], [0o700; 2]);
    for file in ["report.json", "report.md", "report.html"] {
        assert_eq!(mode(&reports.dir.join(&first).join(file)), 0o600, "{file}");
    }
    let names = reports.names().unwrap();
    assert_eq!(names.len(), 3, "{names:?}");
    let last = reports.history().unwrap().pop().unwrap();
    let json = fs::read(reports.dir.join(&first).join(JSON)).unwrap();
    assert_eq!(last.previous, Some(PreviousDrill { drill: first, sha256: sha256(&json) }));
    let html = fs::read(reports.dir.join(&second).join("report.html")).unwrap();
    assert_eq!(last.files["report.html"], sha256(&html));
    assert!(String::from_utf8(html).unwrap().contains("The last 2 drills, newest first"));
    let checked = reports.verify().unwrap();
    assert!(checked.is_good() && checked.reports == 2);
    assert_eq!(checked.newest.unwrap().drill, second);
}

#[test]
fn the_history_is_in_the_order_in_which_it_was_written_whatever_the_clock() {
    let (_deploy, reports) = deploy();
    let written = written(&reports);
    assert_eq!(drills(&reports), written);
    assert_eq!(reports.history().unwrap().pop().unwrap().drill, written[4]);
    assert_eq!(reports.verify().unwrap().lines, [""; 0]);
}

/// Checks a copy of a history after something was done to it; what is found names `named`, still after one more drill.
fn assert_found(reports: &Reports, named: &[&str], what: &str, harm: impl Fn(&Path)) {
    let (_deploy, copy) = copy(reports);
    harm(&copy.dir);
    let check = |when: &str| {
        let checked = copy.verify().unwrap();
        for name in named {
            let is_named = |line: &String| line.starts_with(&format!("{name}: "));
            assert!(checked.lines.iter().any(is_named), "{what}, {when}: {:?}", checked.lines);
        }
        assert!(!checked.is_good());
    };
    check("at once");
    write(&copy, "2026-05-01T03:30:00Z");
    check("after the next drill");
}

#[test]
fn whatever_is_missing_changed_or_swapped_is_found_and_the_next_drill_does_not_hide_it() {
    let (_deploy, reports) = deploy();
    let written = written(&reports);
    for name in &written {
        assert_found(&reports, &[name], "removed", |dir| {
            fs::remove_dir_all(dir.join(name)).unwrap()
        });
        for file in ["report.json", "report.md", "report.html"] {
            let path = |dir: &Path| dir.join(name).join(file);
            assert_found(&reports, &[name], "file removed", |dir| {
                fs::remove_file(path(dir)).unwrap()
            });
            assert_found(&reports, &[name], "file emptied", |dir| {
                fs::write(path(dir), "").unwrap()
            });
            assert_found(&reports, &[name], "file changed", |dir| {
                let text = fs::read_to_string(path(dir)).unwrap();
                assert!(text.contains("15000"));
                fs::write(path(dir), text.replacen("15000", "14999", 1)).unwrap();
            });
        }
        for other in written.iter().filter(|other| *other < name) {
            assert_found(&reports, &[name, other], "swapped", |dir| {
                fs::rename(dir.join(name), dir.join("aside")).unwrap();
                fs::rename(dir.join(other), dir.join(name)).unwrap();
                fs::rename(dir.join("aside"), dir.join(other)).unwrap();
            });
        }
        let copied = "drill_20260410T000000Z";
        assert_found(&reports, &[copied], "copied", |dir| {
            fs::create_dir(dir.join(copied)).unwrap();
            for file in ["report.json", "report.md", "report.html"] {
                fs::copy(dir.join(name).join(file), dir.join(copied).join(file)).unwrap();
            }
        });
    }
    let (_deploy, copy) = copy(&reports);
    fs::remove_file(copy.dir.join(NEWEST)).unwrap();
    assert_eq!(copy.verify().unwrap().lines, ["newest.json: missing"]);
}

#[test]
fn reports_that_were_all_removed_or_the_last_of_them_with_the_note_of_it_are_missed() {
    let (_deploy, reports) = deploy();
    let written = written(&reports);
    let last = &written[4];
    assert_found(&reports, &[last], "emptied", |dir| {
        fs::remove_dir_all(dir).unwrap();
        fs::create_dir(dir).unwrap();
    });
    assert_found(&reports, &[last], "directory removed", |dir| fs::remove_dir_all(dir).unwrap());
    for kept in 1..4 {
        assert_found(&reports, &[last], "set back", |dir| {
            let json = fs::read(dir.join(&written[kept]).join(JSON)).unwrap();
            let newest = PreviousDrill { drill: written[kept].clone(), sha256: sha256(&json) };
            for name in &written[kept + 1..] {
                fs::remove_dir_all(dir.join(name)).unwrap();
            }
            fs::write(dir.join(NEWEST), serde_json::to_vec(&newest).unwrap()).unwrap();
        });
    }
    let (_deploy, copy) = copy(&reports);
    let record_file = copy.state.join("last-drill.json");
    fs::write(&record_file, "{").unwrap();
    let lines = copy.verify().unwrap().lines;
    assert!(lines[0].starts_with("last-drill.json: unreadable: "), "{lines:?}");
    // The record of a drill that was killed when it had written its report, and of one before there was any.
    let json = fs::read(copy.dir.join(&written[3]).join(JSON)).unwrap();
    record(&copy, PreviousDrill { drill: written[3].clone(), sha256: sha256(&json) });
    assert!(copy.verify().unwrap().is_good());
    fs::remove_file(record_file).unwrap();
    assert!(copy.verify().unwrap().is_good());
}

#[test]
fn what_is_no_report_is_skipped_and_nothing_waits_for_it() {
    let (_deploy, reports) = deploy();
    let written = written(&reports);
    let json = |at: usize| reports.dir.join(&written[at]).join(JSON);
    fs::write(json(0), "{\"drill\":").unwrap();
    fs::remove_file(json(1)).unwrap();
    rustix::fs::mkfifoat(CWD, json(1), Mode::RUSR).unwrap();
    fs::rename(json(2), reports.dir.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(reports.dir.join("elsewhere"), json(2)).unwrap();
    let newer = fs::read_to_string(json(3)).unwrap().replace("\"format\": 1", "\"format\": 2");
    fs::write(json(3), newer).unwrap();
    fs::write(reports.dir.join("drill_20260301T000000Z.txt"), "").unwrap();
    fs::create_dir(reports.dir.join("drill_20260230T000000Z")).unwrap();
    assert_eq!(drills(&reports), written[4..]);
    let lines = reports.verify().unwrap().lines;
    for name in &written[..4] {
        assert!(lines.iter().any(|line| line.starts_with(name)), "{lines:?}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("drill_202603") || line.contains("0230")));
    write(&reports, "2026-05-01T03:30:00Z");
    assert_eq!(drills(&reports), [&written[4], "drill_20260501T033000Z"]);
}

#[test]
fn what_a_killed_drill_left_is_removed_and_one_that_was_not_noted_is_followed() {
    let (_deploy, reports) = deploy();
    let first = write(&reports, "2026-04-01T03:30:00Z");
    let newest = fs::read(reports.dir.join(NEWEST)).unwrap();
    let second = write(&reports, "2026-04-02T03:30:00Z");
    // As if the second one had been killed between the report and the note of it.
    fs::write(reports.dir.join(NEWEST), newest).unwrap();
    let partial = reports.dir.join(".drill_20260403T033000Z.partial");
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join("report.md"), "half").unwrap();
    let half = reports.dir.join(format!("{}x", atomic::PREFIX));
    fs::write(&half, "").unwrap();
    fs::write(reports.dir.join("lock"), "").unwrap();
    assert_eq!(drills(&reports), [first.clone(), second.clone()]);
    assert!(reports.verify().unwrap().is_good());
    let third = write(&reports, "2026-04-03T03:30:00Z");
    assert!(!partial.exists() && !half.exists() && reports.dir.join("lock").exists());
    assert_eq!(drills(&reports), [first, second, third]);
    assert!(reports.verify().unwrap().is_good());
}

#[test]
fn what_cannot_be_written_is_an_error_with_the_state_that_results() {
    let (deploy, reports) = deploy();
    fs::write(&reports.dir, "").unwrap();
    let error = reports.write(&mut passed()).unwrap_err();
    assert!(format!("{error:#}").contains(".drills"), "{error:#}");
    fs::remove_file(&reports.dir).unwrap();
    let mut report = passed();
    fs::create_dir(&reports.dir).unwrap();
    fs::create_dir(reports.dir.join(NEWEST)).unwrap();
    let error = reports.write(&mut report).unwrap_err();
    assert!(format!("{error:#}").contains("the report is complete in "), "{error:#}");
    assert_eq!(drills(&reports), [report.drill]);
    assert_eq!(fs::read_dir(deploy.path()).unwrap().count(), 1);
}

#[test]
fn the_clean_up_after_a_signal_may_write_a_report() {
    let (_deploy, reports) = deploy();
    let other = reports.clone();
    drop(cleanup::on_failure(move || drop(write(&other, "2026-04-21T03:30:12Z"))));
    assert_eq!(drills(&reports), ["drill_20260421T033012Z"]);
}
