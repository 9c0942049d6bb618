//! Several destinations, wrong ones among them, and copies that must not be written over.

use crate::kit::{Bench, NAME, OFFSITE, end};
use std::fs;
use std::process::Command;
use test_kit::S3;
use test_kit::s3::faults::{Act, Fault, clear};

fn sealed() -> String {
    format!("{NAME}.tar.age")
}

/// A destination of another storage, with a bucket of the same name.
fn add_storage(command: &mut Command, number: u8, s3: &S3) {
    command.env(format!("SHIP_{number}"), format!("s3://{OFFSITE}/host1"));
    for (name, value) in s3.env() {
        let suffix = match name.as_str() {
            "AWS_ENDPOINT_URL" => "ENDPOINT",
            "AWS_REGION" => "REGION",
            "AWS_ACCESS_KEY_ID" => "ACCESS_KEY",
            _ => "SECRET_KEY",
        };
        command.env(format!("SHIP_{number}_{suffix}"), value);
    }
}

#[test]
fn two_storages_with_buckets_of_one_name_are_two_destinations() {
    let bench = Bench::new();
    let second = S3::start(OFFSITE).unwrap();
    let ship = |arguments: &[&str]| {
        let mut command = bench.ship_command(arguments);
        add_storage(&mut command, 3, &second);
        end(&mut command)
    };
    ship(&["--newest"]).with(0).reports("to SHIP_1").reports("to SHIP_3");
    let key = format!("host1/{}", sealed());
    let there = second.client().get((OFFSITE, &key)).unwrap().body;
    assert!(there == bench.object(&sealed()));
    // What is recorded of one is not of the other.
    second.client().delete((OFFSITE, &key)).unwrap();
    ship(&["--newest"]).with(0).reports("SHIP_1 (s3").reports("copied");
    let record = fs::read_to_string(bench.path("deploy/.restore/ship/shipped.json")).unwrap();
    for s3 in [&bench.s3, &second] {
        assert!(record.contains(&format!("s3://{OFFSITE}/host1 at {}", s3.endpoint())), "{record}");
    }
    // Fetched from the one that has it, or from the one that is named.
    bench.s3.client().delete((OFFSITE, &format!("{key}.json"))).unwrap();
    let url = format!("s3://{OFFSITE}/{key}");
    let fetched = ship(&["fetch", &url]).with(0).reports("with the settings of SHIP_3");
    assert!(fetched.out == second.client().get((OFFSITE, &key)).unwrap().body);
    let fetched = ship(&["fetch", &format!("SHIP_1:{NAME}")]).with(0);
    assert!(fetched.reports("only its own encryption is checked").out == bench.object(&sealed()));
    ship(&["fetch", &format!("SHIP_4:{NAME}")]).with(2).reports("SHIP_4 is not set");
    let copied = ship(&["fetch", &format!("SHIP_2:{NAME}")]).with(0).out;
    assert!(copied == fs::read(bench.path("copies").join(sealed())).unwrap());
}

#[test]
fn a_destination_that_is_set_wrongly_fails_alone() {
    let bench = Bench::new();
    for (name, value, why) in [
        ("SHIP_3", "ftp://x", "is neither s3://"),
        ("SHIP_3", "copies:elsewhere", "is neither s3://"),
        ("SHIP_2_RETAIN_DAYS", "7", "a directory locks nothing"),
    ] {
        let ship = |arguments: &[&str]| {
            let mut command = bench.ship_command(arguments);
            end(command.env(name, value))
        };
        ship(&["--newest"]).with(3).reports(why).reports("1 copy failed");
        ship(&["verify"]).with(3).reports(why);
        ship(&["prune"]).with(3).reports(why);
        let url = format!("s3://{OFFSITE}/host1/{}", sealed());
        assert!(ship(&["fetch", &url]).with(0).out == bench.object(&sealed()));
    }
    // Retention is another matter than copying.
    let mut command = bench.ship_command(&["--newest"]);
    end(command.env("SHIP_KEEP_DAYS", "ten")).with(0);
    let mut command = bench.ship_command(&["prune"]);
    end(command.env("SHIP_KEEP_DAYS", "ten")).with(2).reports("SHIP_KEEP_DAYS must");
}

#[test]
fn a_copy_that_may_be_there_is_not_written_over() {
    let bench = Bench::new();
    bench.ship(&["--newest"]).with(0);
    let state = || (bench.object(&sealed()), bench.object(&format!("{}.json", sealed())));
    let good = state();
    for operation in ["ListObjectsV2", "GetObject"] {
        bench.s3.fault(&Fault::always(operation, Act::Broken)).unwrap();
        bench.ship(&["--newest"]).with(3).reports("was not copied to SHIP_1");
        clear(&bench.s3.endpoint()).unwrap();
        assert!(state() == good, "{operation}");
    }
    // Another deployment's bundle of the same second, in the same folder.
    fs::remove_dir_all(bench.bundle()).unwrap();
    bench.make(NAME, "SELECT 'another';");
    let ended = bench.ship(&["--newest"]).with(5);
    ended.reports("another bundle of that name is there").reports("two prefixes");
    assert!(state() == good);
}

#[test]
fn a_copy_that_was_replaced_is_found_refused_and_made_again() {
    let bench = Bench::new();
    bench.ship(&["--newest"]).with(0);
    // By somebody who has the keys of the storage and the public key: another encryption, rightly described.
    let record = fs::read(bench.path("deploy/.restore/ship/shipped.json")).unwrap();
    fs::remove_file(bench.path("deploy/.restore/ship/shipped.json")).unwrap();
    let (name, json) = (sealed(), format!("{}.json", sealed()));
    for file in [&name, &json] {
        fs::remove_file(bench.path("copies").join(file)).unwrap();
    }
    bench.ship(&["--newest"]).with(0);
    for file in [&name, &json] {
        bench.put_object(file, &fs::read(bench.path("copies").join(file)).unwrap());
    }
    fs::write(bench.path("deploy/.restore/ship/shipped.json"), record).unwrap();
    bench.ship(&["verify"]).with(4).reports("SHIP_1").reports("it was replaced");
    let fetched = bench.ship(&["fetch", &format!("s3://{OFFSITE}/host1/{name}")]).with(4);
    assert!(fetched.out.is_empty());
    bench.ship(&["--newest"]).with(0).reports("it is copied again");
    bench.ship(&["verify"]).with(0);
}

#[test]
fn what_verify_finds_counts_for_the_next_copy_and_for_retention() {
    let bench = Bench::new();
    let old = "piprio_20260301T020000Z";
    bench.make(old, "SELECT 0;");
    bench.ship(&["--all"]).with(0);
    let path = bench.path("copies").join(sealed());
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let verify = || {
        let mut command = bench.ship_command(&["verify"]);
        end(command.env_remove("SHIP_1"))
    };
    verify().with(4);
    // The only good copy stays, however old.
    bench.ship(&["prune", "--keep-days", "1"]).with(0);
    assert_eq!(bench.copies()[0], format!("{old}.tar.age"));
    assert!(bench.objects().iter().all(|name| name.starts_with(NAME)), "{:?}", bench.objects());
    bench.ship(&["--newest"]).with(0).reports(&format!("copied {NAME} to SHIP_2"));
    verify().with(0);
    // Found damaged and not removed, it is made again.
    fs::write(&path, &bytes).unwrap();
    verify().with(4);
    bench.ship(&["--newest"]).with(0).reports("it is copied again");
    verify().with(0);
}

#[test]
fn a_copy_in_the_making_is_no_damage_and_is_not_removed() {
    let bench = Bench::new();
    bench.ship(&["--newest"]).with(0);
    let young = "piprio_20260301T020000Z.tar.age";
    fs::write(bench.path("copies").join(young), "being written").unwrap();
    bench.ship(&["verify"]).with(0).reports("is not complete yet");
    bench.ship(&["prune", "--keep-days", "1"]).with(0);
    assert!(bench.copies().contains(&young.to_owned()));
    bench.sh("touch -d '2 days ago' copies/piprio_20260301T020000Z.tar.age");
    bench.ship(&["verify"]).with(4).reports("has no description");
    bench.ship(&["prune", "--keep-days", "1"]).with(0);
    assert!(!bench.copies().contains(&young.to_owned()));
}

#[test]
fn without_a_domain_of_its_own_a_deployment_removes_nobody_elses_copies() {
    let bench = Bench::new();
    bench.make("piprio_20260301T020000Z", "SELECT 0;");
    bench.ship(&["--all"]).with(0);
    let mut command = bench.ship_command(&["prune", "--keep-days", "1"]);
    end(command.env_remove("PIPRIO_DOMAIN")).with(0);
    assert_eq!((bench.copies().len(), bench.objects().len()), (4, 4));
    bench.ship(&["prune", "--keep-days", "1"]).with(0);
    assert_eq!((bench.copies().len(), bench.objects().len()), (2, 2));
}
