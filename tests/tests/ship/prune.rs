//! What is removed elsewhere, and what never is.

use crate::kit::{Bench, Ended, end};
use chrono::{TimeDelta, Utc};
use test_kit::S3;

/// The name of a bundle so many days old.
fn aged(days: i64) -> String {
    (Utc::now() - TimeDelta::days(days)).format("piprio_%Y%m%dT%H%M%SZ").to_string()
}

fn with_ages(bench: &Bench, ages: &[i64]) -> Vec<String> {
    std::fs::remove_dir_all(bench.bundle()).unwrap();
    let names: Vec<String> = ages.iter().map(|days| aged(*days)).collect();
    for name in &names {
        bench.make(name, "SELECT 1;");
    }
    bench.ship(&["--all"]).with(0);
    names
}

#[test]
fn old_copies_go_everywhere_and_the_newest_never() {
    let bench = Bench::new();
    let names = with_ages(&bench, &[1, 40, 50]);
    let dry = bench.ship(&["prune", "--dry-run", "--json"]).with(0).json();
    let to_remove = dry.as_array().unwrap().iter().filter(|o| o["outcome"] == "to remove").count();
    assert_eq!((to_remove, bench.copies().len()), (4, 6));
    bench.ship(&["prune"]).with(0);
    let left = [format!("{}.tar.age", names[0]), format!("{}.tar.age.json", names[0])];
    assert_eq!(bench.copies(), left);
    assert_eq!(bench.objects(), left);

    let bench = Bench::new();
    let names = with_ages(&bench, &[40, 50]);
    bench.ship(&["prune", "--keep-days", "1"]).with(0);
    assert_eq!(bench.copies()[0], format!("{}.tar.age", names[0]));
    assert_eq!(bench.objects().len(), 2);
}

#[test]
fn a_copy_that_is_not_complete_does_not_count_as_the_newest() {
    let bench = Bench::new();
    let names = with_ages(&bench, &[1, 40]);
    let name = format!("{}.tar.age", names[0]);
    let path = bench.path("copies").join(&name);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[1..]).unwrap();
    bench.put_object(&name, &bytes[1..]);
    bench.ship(&["prune"]).with(0);
    assert_eq!((bench.copies().len(), bench.objects().len()), (4, 4));
}

#[test]
fn other_deployments_copies_and_other_files_stay() {
    let bench = Bench::new();
    with_ages(&bench, &[1, 40]);
    std::fs::write(bench.path("copies/other"), "").unwrap();
    std::fs::write(bench.path("copies/.piprio_20200101T000000Z.tar.age.partial"), "").unwrap();
    let mut command = bench.ship_command(&["prune"]);
    end(command.env("PIPRIO_DOMAIN", "another.example")).with(0);
    assert_eq!(bench.objects().len(), 4);
    bench.ship(&["prune"]).with(0);
    assert_eq!(bench.copies().iter().filter(|name| *name == "other").count(), 1);
    assert_eq!(bench.copies().len(), 3);
}

#[test]
fn a_locked_copy_is_kept_until_its_lock_ends() {
    let bench = Bench::with(S3::start_locking(crate::kit::OFFSITE).unwrap());
    std::fs::remove_dir_all(bench.bundle()).unwrap();
    for days in [1, 40] {
        bench.make(&aged(days), "SELECT 1;");
    }
    let ship = |arguments: &[&str]| {
        let mut command = bench.ship_command(arguments);
        end(command.env("SHIP_1_RETAIN_DAYS", "30").env_remove("SHIP_2"))
    };
    ship(&["--all"]).with(0);
    let report = ship(&["prune", "--json"]).with(0).json();
    let old = &report.as_array().unwrap()[1];
    assert_eq!(old["outcome"], "kept");
    assert!(old["reason"].as_str().unwrap().contains("locked until"), "{old}");
    assert_eq!(bench.objects().len(), 4);
}

#[test]
fn nothing_is_removed_while_the_alarm_is_on_or_a_destination_cannot_be_listed() {
    let bench = Bench::new();
    let names = with_ages(&bench, &[1, 40]);
    let mark = bench.path(&format!("backups/.{}.shrunk", names[0]));
    std::fs::write(&mark, "has no rows\n").unwrap();
    bench.ship(&["prune"]).with(0).reports("nothing is removed, because");
    assert_eq!((bench.copies().len(), bench.objects().len()), (4, 4));
    std::fs::remove_file(mark).unwrap();
    let mut command = bench.ship_command(&["prune"]);
    end(command.env("SHIP_1_SECRET_KEY", "wrong")).with(3).reports("SHIP_1");
    assert_eq!((bench.copies().len(), bench.objects().len()), (2, 4));
}

#[test]
fn nothing_is_removed_while_what_was_copied_from_another_root_holds_far_less() {
    let bench = Bench::new();
    let names = with_ages(&bench, &[3, 40, 50]);
    let young = bench.make(&aged(1), "SELECT 2;");
    std::fs::create_dir(bench.path("usb")).unwrap();
    let name = young.file_name().unwrap().to_str().unwrap();
    let bundle = bench.path("usb").join(name);
    std::fs::rename(&young, &bundle).unwrap();
    let mark = bench.path(&format!("usb/.{name}.shrunk"));
    std::fs::write(&mark, "has no rows\n").unwrap();
    let shown = bundle.to_str().unwrap();
    bench.ship(&["--prune", shown]).with(0).reports("nothing is removed, because");
    assert_eq!((bench.copies().len(), bench.objects().len()), (8, 8));
    // Also without that root, by the copy itself.
    bench.ship(&["prune"]).with(0).reports("its newest copy").reports("held far less");
    assert_eq!((bench.copies().len(), bench.objects().len()), (8, 8));
    // The setting's root has the bundle, without the mark: it was accepted.
    std::fs::remove_file(&mark).unwrap();
    bench.ship(&["prune"]).with(0).reports("its newest copy");
    bench.ship(&["--prune", shown]).with(0);
    assert_eq!((bench.copies().len(), bench.objects().len()), (4, 4));
    assert!(bench.copies()[0].starts_with(&names[0]));
}

#[test]
fn a_later_copy_that_holds_all_again_ends_the_alarm_of_the_copies() {
    let bench = Bench::new();
    std::fs::remove_dir_all(bench.bundle()).unwrap();
    let names = [40, 20, 2].map(aged);
    for name in &names[..2] {
        bench.make(name, "SELECT 1;");
    }
    let shrunk = bench.path(&format!("backups/.{}.shrunk", names[1]));
    std::fs::write(&shrunk, "has no rows\n").unwrap();
    bench.ship(&["--all"]).with(0);
    std::fs::remove_file(shrunk).unwrap();
    bench.make(&names[2], "SELECT 1;");
    bench.ship(&["--newest"]).with(0);
    elsewhere(&bench);
    assert_eq!((bench.copies().len(), bench.objects().len()), (4, 4));
}

/// `ship-run prune` on a host without bundles.
fn elsewhere(bench: &Bench) -> Ended {
    let mut command = bench.ship_command(&["prune"]);
    end(command.env("BACKUP_ROOT", bench.path("none"))).with(0)
}

#[test]
fn a_later_copy_made_while_the_alarm_is_on_does_not_end_it() {
    let bench = Bench::new();
    let names = with_ages(&bench, &[2, 40, 50]);
    let mark = bench.path(&format!("backups/.{}.shrunk", names[0]));
    std::fs::write(&mark, "has no rows\n").unwrap();
    // It holds as little as the one before it, so it has no mark of its own.
    bench.make(&aged(1), "SELECT 2;");
    bench.ship(&["--newest"]).with(0);
    elsewhere(&bench).reports("its newest copy").reports("held far less");
    assert_eq!((bench.copies().len(), bench.objects().len()), (8, 8));
    // Accepted, where that is known.
    std::fs::remove_file(&mark).unwrap();
    elsewhere(&bench).reports("its newest copy");
    bench.ship(&["prune"]).with(0);
    assert_eq!((bench.copies().len(), bench.objects().len()), (4, 4));
}
