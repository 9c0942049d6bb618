//! What is sent, to whom, and what is not.

use crate::kit::{Bench, NAME, OFFSITE, end};
use std::fs;
use std::time::Duration;
use test_kit::S3;
use test_kit::s3::faults::{Act, Fault};
use test_kit::s3::keys::{LIST_ONLY, UPLOAD_ONLY};

fn both() -> [String; 2] {
    [format!("{NAME}.tar.age"), format!("{NAME}.tar.age.json")]
}

#[test]
fn every_destination_gets_the_same_copy_of_one_encryption_and_not_twice() {
    let bench = Bench::new();
    let large = bench.make_large("piprio_20260422T020000Z");
    bench.ship(&["--newest"]).with(0).reports("copied piprio_20260422T020000Z to SHIP_2");
    let name = "piprio_20260422T020000Z.tar.age";
    let sealed = bench.object(name);
    assert!(sealed == fs::read(bench.path("copies").join(name)).unwrap());
    assert!(sealed.len() > 8 << 20, "one part only");
    bench.opens_as(&bench.path("copies").join(name), &large);

    let again = bench.ship(&["--newest", "--json"]).with(0);
    let outcomes = again.json();
    assert!(outcomes.as_array().unwrap().iter().all(|o| o["outcome"] == "present"), "{outcomes}");
    // The older one is what is missing.
    let all = bench.ship(&["--all", "--json"]).with(0).json();
    let sent: Vec<_> = all.as_array().unwrap().iter().filter(|o| o["outcome"] == "sent").collect();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|o| o["bundle"] == NAME));
    assert_eq!(bench.objects().len(), 4);
    assert_eq!(bench.copies(), bench.objects());
    let listed = bench.ship(&["list", "--json"]).with(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 4);
    assert!(listed.as_array().unwrap().iter().all(|c| c["problem"].is_null()), "{listed}");
    bench.ship(&["verify"]).with(0);
    bench.ship(&["verify", "--sample", "1"]).with(0);
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(bench.path("copies").join(name)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_destination_that_fails_does_not_stop_the_others() {
    let bench = Bench::new();
    bench.make_large("piprio_20260422T020000Z");
    // At once; in the middle; at the end.
    for (operation, skip) in
        [("ListObjectsV2", 0), ("UploadPart", 1), ("CompleteMultipartUpload", 0), ("PutObject", 0)]
    {
        let fault = Fault { skip, ..Fault::always(operation, Act::Broken) };
        bench.s3.fault(&fault).unwrap();
        let mut command = bench.ship_command(&["--newest"]);
        let ended = end(&mut command);
        ended.with(3).reports("was not copied to SHIP_1").reports("1 copy failed");
        assert_eq!(bench.copies().len(), 2, "{operation}");
        test_kit::s3::faults::clear(&bench.s3.endpoint()).unwrap();
        bench.ship(&["verify", "--sample", "1"]);
        for name in bench.copies() {
            fs::remove_file(bench.path("copies").join(name)).unwrap();
        }
        for name in bench.objects() {
            bench.s3.client().delete((OFFSITE, &format!("host1/{name}"))).unwrap();
        }
    }
    // The other one: its disk is not mounted.
    fs::remove_dir(bench.path("copies")).unwrap();
    bench.ship(&["--newest"]).with(3).reports("there is no directory");
    assert!(!bench.path("copies").exists());
    assert_eq!(bench.objects().len(), 2);
    let mut command = bench.ship_command(&["--newest"]);
    end(command.env("SHIP_1_ENDPOINT", "http://127.0.0.1:1")).with(1).reports("nothing was copied");
}

#[test]
fn nothing_leaves_without_recipients_that_can_be_used() {
    let bench = Bench::new();
    let mut command = bench.ship_command(&["--newest"]);
    end(command.env_remove("SHIP_RECIPIENTS"))
        .with(5)
        .reports("nothing leaves this host unencrypted");
    fs::write(bench.path("bad.pub"), "not a key\n").unwrap();
    let mut command = bench.ship_command(&["--newest"]);
    end(command.env("SHIP_RECIPIENTS", bench.path("bad.pub"))).with(1);
    // A key that the keyring does not trust.
    bench.sh("mkdir -m 0700 keyring other
              GNUPGHOME=other gpg --batch --quiet --passphrase '' --quick-generate-key it@example.org 2>/dev/null
              GNUPGHOME=other gpg --batch --export it@example.org | gpg --batch --quiet --import 2>/dev/null
              GNUPGHOME=other gpgconf --kill all");
    let mut command = bench.ship_command(&["--newest"]);
    let ended = end(command.env("SHIP_RECIPIENTS", "gpg:it@example.org")).with(5);
    ended.reports("is not trusted by this keyring").reports("nothing was copied");
    assert!(bench.copies().is_empty() && bench.objects().is_empty());
    let mut command = bench.ship_command(&["--newest"]);
    for n in 1..=2 {
        command.env_remove(format!("SHIP_{n}"));
    }
    end(&mut command).with(2).reports("SHIP_1");
}

#[test]
fn a_damaged_bundle_is_stored_nowhere() {
    let bench = Bench::new();
    let large = bench.make_large("piprio_20260422T020000Z");
    let dump = large.join("database.sql.gz");
    let mut bytes = fs::read(&dump).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    fs::write(&dump, bytes).unwrap();
    std::fs::remove_dir(bench.path("deploy/.restore")).unwrap();
    let ended = bench.ship(&[large.to_str().unwrap()]).with(4);
    ended.reports("nothing was copied");
    assert!(bench.copies().is_empty() && bench.objects().is_empty());
    // It does not keep the others from being copied.
    bench.ship(&["--all"]).with(4).reports(&format!("copied {NAME} to SHIP_2"));
    assert_eq!(bench.objects(), both());
    let uploads = bench.s3.client().request("GET", (OFFSITE, ""), &[("uploads", "")], &[], b"");
    assert!(!uploads.unwrap().text().contains("<UploadId>"));
}

#[test]
fn keys_that_can_only_upload_are_enough() {
    let bench = Bench::with(S3::start_locking(OFFSITE).unwrap());
    let ship = |arguments: &[&str]| {
        let mut command = bench.ship_command(arguments);
        command.env("SHIP_1_RETAIN_DAYS", "30").env_remove("SHIP_2");
        end(command.env("SHIP_1_ACCESS_KEY", UPLOAD_ONLY))
    };
    ship(&["--newest"]).with(0).reports("copied");
    assert_eq!(bench.objects(), both());
    // This host's own record knows it.
    ship(&["--newest"])
        .with(0)
        .reports("has it already".replace("it ", &format!("{NAME} ")).as_str());
    ship(&["list"]).with(3).reports("refused");
    // Neither deleted nor replaced with the strongest keys.
    for name in both() {
        let key = format!("host1/{name}");
        let deleted = bench.s3.client().request("DELETE", (OFFSITE, &key), &[], &[], b"");
        assert_eq!(deleted.unwrap().status, 403);
    }
}

#[test]
fn keys_that_may_list_and_not_read_prove_no_copy_and_find_no_damage() {
    let bench = Bench::new();
    bench.ship(&["--newest"]).with(0);
    let ship = |arguments: &[&str]| {
        let mut command = bench.ship_command(arguments);
        end(command.env("SHIP_1_ACCESS_KEY", LIST_ONLY))
    };
    let copy = format!("{NAME}.tar.age");
    for arguments in [&["verify", "--json"][..], &["verify", "--sample", "5", "--json"]] {
        let ended = ship(arguments).with(3).reports("SHIP_1 (s3://");
        let report = ended.json();
        let failed = report["failed"][0].as_str().unwrap();
        assert!(failed.contains(&copy), "{failed}");
        for words in ["its description cannot be read", "the keys are refused for bucket offsite"] {
            assert!(failed.contains(words), "{failed}");
        }
        assert_eq!(report["failed"].as_array().unwrap().len(), 1, "{report}");
        // The directory's copy is verified all the same.
        assert_eq!(report["copies"].as_array().unwrap().len(), 1, "{report}");
        assert!(report["copies"][0]["problem"].is_null());
    }
    // Nothing is noted as damaged, so nothing is made again, and nothing is removed.
    ship(&["--newest"]).with(0).reports(&format!("has {NAME} already"));
    ship(&["prune", "--keep-days", "1"]).with(0);
    assert_eq!(bench.objects(), both());
    let listed = ship(&["list", "--json"]).with(0).json();
    assert!(listed[0]["problem"].as_str().unwrap().contains("cannot be read"), "{listed}");
    ship(&["fetch", &format!("SHIP_1:{NAME}")]).with(5).reports("the keys are refused");
    bench.ship(&["verify"]).with(0);
}

#[test]
fn a_bundle_that_is_removed_meanwhile_is_no_failure_of_all() {
    let (newest, removed) = ("piprio_20260423T020000Z", "piprio_20260422T020000Z");
    for exit in [1, 4] {
        let bench = Bench::new();
        bench.make(removed, "SELECT 2;");
        bench.make(newest, "SELECT 3;");
        // The second goes before its turn, the third while it is read.
        let script = format!(
            "mkdir stand && cat > stand/seal.sh <<'END'
             if [[ $1 == */{newest} ]]; then rm -rf '{0}/{removed}'; exec bash '{1}/scripts/seal.sh' \"$@\"; fi
             printf age; mv \"$1\" '{0}/aside'; exit {exit}
END",
            bench.path("backups").display(),
            test_kit::tools::workspace().display()
        );
        bench.sh(&script);
        let mut command = bench.ship_command(&["--all", "--json"]);
        let ended = end(command.env("PIPRIO_SCRIPTS", bench.path("stand"))).with(0);
        let ended = ended.reports(&format!("{NAME} was removed meanwhile"));
        let ended = ended.reports(&format!("{removed} was removed meanwhile"));
        let outcomes = ended.json();
        assert_eq!(outcomes.as_array().unwrap().len(), 2, "{outcomes}");
        assert_eq!(bench.copies(), [format!("{newest}.tar.age"), format!("{newest}.tar.age.json")]);
        bench.sh(&format!("rm -rf backups/{newest}; mv backups/aside backups/{NAME}"));
        let mut command = bench.ship_command(&["--all"]);
        end(command.env("PIPRIO_SCRIPTS", bench.path("stand"))).with(1).reports("every bundle");
        // The one that was asked for is another matter.
        bench.ship(&[bench.bundle().to_str().unwrap()]).with(1);
    }
}

#[test]
fn a_bundle_whose_lock_another_program_has_is_waited_for_and_not_taken_for_removed() {
    let second = "piprio_20260422T020000Z";
    let bench = Bench::new();
    bench.make(second, "SELECT 2;");
    let held = fs::File::open(bench.path("backups").join(second)).unwrap();
    held.lock().unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        drop(held);
    });
    let ended = bench.ship(&["--all"]).with(0);
    holder.join().unwrap();
    assert!(!ended.err.contains("removed"), "{}", ended.err);
    assert_eq!(bench.copies().iter().filter(|name| name.contains(second)).count(), 2);
    // One that keeps it is a failure.
    bench.make("piprio_20260423T020000Z", "SELECT 3;");
    let held = fs::File::open(bench.path("backups/piprio_20260423T020000Z")).unwrap();
    held.lock().unwrap();
    bench.ship(&["--all"]).with(5).reports("is locked by what removes it");
}
