//! A deployment whose host is lost, and that comes back from a copy elsewhere.

use bundle_format::report::{DrillReport, DrillResult};
use std::path::Path;
use test_kit::S3;
use test_kit::deployment::{DOMAIN, Deployment, Options, run, sh};

fn answers(config: &str) -> String {
    format!("{DOMAIN}\n{config}\n")
}

/// Sets the deployment up to copy to a bucket and to a directory after each backup.
fn set_up(deployment: &Deployment, offsite: &S3, place: &Path) {
    let keys: Vec<String> = offsite.env().into_iter().map(|(_, value)| value).collect();
    sh(
        deployment.dir(),
        &format!(
            "age-keygen -o '{0}/key' 2>/dev/null && age-keygen -y '{0}/key' > backup.pub
             mkdir '{0}/copies'
             printf '%s' '{1}' > secrets/ship_access && printf '%s' '{2}' > secrets/ship_secret
             printf '%s\\n' SHIP_RECIPIENTS=backup.pub SHIP_1=s3://offsite/host1 'SHIP_1_ENDPOINT={3}' \
               SHIP_1_ACCESS_KEY_FILE=/run/secrets/ship_access \
               SHIP_1_SECRET_KEY_FILE=secrets/ship_secret 'SHIP_2={0}/copies' >> .env",
            place.display(),
            keys[2],
            keys[3],
            keys[0]
        ),
    )
    .unwrap();
}

#[test]
fn a_lost_host_comes_back_from_a_copy_in_a_bucket() {
    let offsite = S3::start("offsite").unwrap();
    let deployment = Deployment::temporary(&Options::default()).unwrap();
    let place = tempfile::tempdir().unwrap();
    set_up(&deployment, &offsite, place.path());
    let backed_up = deployment.backup(&[]).unwrap().expect(0);
    assert!(
        backed_up.stderr.contains("to SHIP_1 (s3://offsite/host1 at http://"),
        "{}",
        backed_up.stderr
    );
    let bundle = deployment.newest_bundle().unwrap();
    assert_eq!(backed_up.stdout.lines().next(), bundle.to_str());
    let name = bundle.file_name().unwrap().to_str().unwrap().to_owned();
    deployment.run_script("ship.sh", &["verify"], "").unwrap().expect(0);
    let before = deployment.state().unwrap();

    // The host is lost: nothing runs, nothing is configured, nothing is stored.
    deployment.redis(&["FLUSHALL"]).unwrap();
    deployment.psql_in("postgres", "drop database piprio with (force)").unwrap();
    sh(deployment.dir(), "scripts/drivers/process stop api worker redis minio postgres").unwrap();
    sh(deployment.dir(), "rm -rf .env secrets certs backups .restore backup.pub").unwrap();

    let key = place.path().join("key").display().to_string();
    let url = format!("s3://offsite/host1/{name}.tar.age");
    let restore = |arguments: &[&str], stdin: &str| {
        let mut command = deployment.script("restore.sh", &[&[url.as_str()], arguments].concat());
        // A new host has no settings; these are the client's own variables.
        command.envs(offsite.env());
        run(command, stdin).unwrap()
    };
    let bootstrapped = restore(&["-i", &key, "--bootstrap"], &answers("")).expect(0);
    let next = bootstrapped.stderr.lines().find_map(|line| line.split_once(", then: "));
    let next = next.unwrap_or_else(|| panic!("{}", bootstrapped.stderr)).1.to_owned();
    let mode = sh(deployment.dir(), "stat -c %a backups/.unsealed").unwrap();
    assert_eq!(mode.trim(), "700");
    sh(deployment.dir(), &format!("printf '{DOMAIN}\\nn\\n' | {next}")).unwrap();
    assert_eq!(deployment.state().unwrap(), before);
    assert!(!deployment.dir().join("backups/.unsealed").exists());

    // Configured again, the host uses its own settings; and a copy of another is refused.
    let run = deployment.restore(Path::new(&url), &["-i", &key], &answers("n")).unwrap().expect(0);
    assert!(run.stderr.contains("with the settings of SHIP_1"), "{}", run.stderr);
    assert_eq!(deployment.state().unwrap(), before);
    let drilled = deployment.run_script("drill.sh", &["--json", &url, "-i", &key], "").unwrap();
    let report: DrillReport = serde_json::from_str(&drilled.expect(0).stdout).unwrap();
    assert_eq!((report.bundle.name, report.result), (name.clone(), DrillResult::Passed));
    assert!(!deployment.dir().join("backups/.drill/.drill-unsealed").exists());
    refused_leaves_nothing(&deployment, &offsite, &name, &key);
    let wrong = "piprio_20200101T000000Z.tar.age";
    for suffix in ["", ".json"] {
        let body = offsite.client().get(("offsite", &format!("host1/{name}.tar.age{suffix}")));
        let body = body.unwrap().body;
        let renamed = String::from_utf8_lossy(&body).into_owned();
        let body = if suffix.is_empty() { body } else { renamed.replace(&name, "x").into() };
        offsite.put(&format!("host1/{wrong}{suffix}"), &[], &body).unwrap();
    }
    let renamed = format!("s3://offsite/host1/{wrong}");
    let run = deployment.restore(Path::new(&renamed), &["-i", &key], &answers("n")).unwrap();
    assert!(run.expect(4).stderr.contains("it was renamed or replaced"));
    let copy = place.path().join("copies").join(format!("{name}.tar.age"));
    let moved = place.path().join(wrong);
    std::fs::copy(copy, &moved).unwrap();
    deployment.restore(&moved, &["-i", &key], &answers("n")).unwrap().expect(4);
    assert!(!deployment.dir().join("backups/.unsealed").join(&name).exists());
}

/// Another encryption of the same bundle opens, and is not the file that its description describes.
fn refused_leaves_nothing(deployment: &Deployment, offsite: &S3, name: &str, key: &str) {
    let object = format!("host1/{name}.tar.age");
    let good = offsite.client().get(("offsite", &object)).unwrap().body;
    let other = deployment.dir().join("other.tar.age");
    std::fs::write(&other, &good).unwrap();
    let again = format!(
        "age -d -i '{key}' other.tar.age | age -r \"$(age-keygen -y '{key}')\" > new && mv new other.tar.age"
    );
    sh(deployment.dir(), &again).unwrap();
    offsite.put(&object, &[], &std::fs::read(&other).unwrap()).unwrap();
    let url = format!("s3://offsite/{object}");
    let run = deployment.restore(Path::new(&url), &["-i", key], &answers("n")).unwrap().expect(4);
    assert!(!run.stderr.contains("is kept"), "{}", run.stderr);
    assert!(!deployment.dir().join("backups/.unsealed").exists());
    deployment.run_script("drill.sh", &[&url, "-i", key], "").unwrap().expect(4);
    assert!(!deployment.dir().join("backups/.drill/.drill-unsealed").exists());
    offsite.put(&object, &[], &good).unwrap();
    std::fs::remove_file(other).unwrap();
}

#[test]
fn a_copy_that_fails_does_not_spoil_the_backup_and_can_be_switched_off() {
    let offsite = S3::start("offsite").unwrap();
    let deployment = Deployment::temporary(&Options::default()).unwrap();
    let place = tempfile::tempdir().unwrap();
    set_up(&deployment, &offsite, place.path());
    drop(offsite);
    let run = deployment.backup(&[]).unwrap().expect(1);
    let bundle = deployment.newest_bundle().unwrap();
    let complete = format!("{} is complete, but it is not copied everywhere", bundle.display());
    assert!(run.stderr.contains(&complete), "{}", run.stderr);
    assert_eq!(run.stdout.lines().next(), bundle.to_str());
    assert_eq!(std::fs::read_dir(place.path().join("copies")).unwrap().count(), 2);
    sh(deployment.dir(), "echo BACKUP_SHIP=no >> .env; rm secrets/ship_secret").unwrap();
    deployment.backup(&[]).unwrap().expect(0);
    assert_eq!(std::fs::read_dir(place.path().join("copies")).unwrap().count(), 2);
    // What fails after the bundle is complete does not keep it from being copied.
    sh(deployment.dir(), "sed -i 's/^BACKUP_SHIP=no/BACKUP_SHIP=yes/; s/^SHIP_1=.*/SHIP_1=/' .env")
        .unwrap();
    sh(deployment.dir(), "mv bin/bundle-prune aside; printf '#!/bin/sh\\nexit 1\\n' > bin/bundle-prune; chmod 755 bin/bundle-prune").unwrap();
    let run = deployment.backup(&[]).unwrap().expect(1);
    assert!(run.stderr.contains("pruning older bundles failed"), "{}", run.stderr);
    assert_eq!(std::fs::read_dir(place.path().join("copies")).unwrap().count(), 4);
    sh(
        deployment.dir(),
        "mv aside bin/bundle-prune; sed -i 's/^BACKUP_SHIP=yes/BACKUP_SHIP=no/' .env",
    )
    .unwrap();
    // Even the safety backup of a restore is not held up by destinations.
    deployment.restore(&bundle, &["--safety-backup"], &answers("n")).unwrap().expect(0);
}

#[test]
fn an_unfinished_restore_whose_decrypted_bundle_is_gone_names_the_command_that_continues_it() {
    let deployment = Deployment::temporary(&Options::default()).unwrap();
    sh(deployment.dir(), "age-keygen -o key 2>/dev/null").unwrap();
    let sealed = |name: &str| {
        deployment.backup(&[]).unwrap().expect(0);
        let bundle = deployment.newest_bundle().unwrap();
        let seal = "bash scripts/seal.sh 'BUNDLE' -r \"$(age-keygen -y key)\" > NAME.tar.age";
        let seal = seal.replace("BUNDLE", &bundle.display().to_string()).replace("NAME", name);
        sh(deployment.dir(), &seal).unwrap();
        bundle.file_name().unwrap().to_str().unwrap().to_owned()
    };
    let (first, second) = (sealed("a"), sealed("b"));
    let before = deployment.state().unwrap();
    let key = deployment.dir().join("key").display().to_string();
    let restore = |what: &str, options: &[&str], stdin: &str| {
        let path = deployment.dir().join(what);
        deployment.restore(&path, &[&["-i", key.as_str()], options].concat(), stdin).unwrap()
    };
    let unsealed = deployment.dir().join("backups/.unsealed");
    let fails = "#!/bin/sh\ncase \" $* \" in *\" --delete \"*) exit 1;; esac\nexec \"${0%/*}/../mirror\" \"$@\"\n";
    sh(deployment.dir(), "mv bin/obj-mirror mirror").unwrap();
    std::fs::write(deployment.dir().join("bin/obj-mirror"), fails).unwrap();
    sh(deployment.dir(), "chmod 755 bin/obj-mirror").unwrap();
    restore("a.tar.age", &[], &answers("n")).expect(1);
    assert!(unsealed.join(&first).exists());

    let other = restore("b.tar.age", &[], "mistyped\n").expect(5);
    let command = format!("restore.sh' COPY-OF-{first} --resume");
    assert!(other.stderr.contains(&command), "{}", other.stderr);
    assert!(other.stderr.contains(&format!("{second} is kept")), "{}", other.stderr);
    let printed = deployment.restore(&unsealed.join(&first), &["--resume"], "").unwrap().expect(2);
    assert!(printed.stderr.contains(&command), "{}", printed.stderr);
    assert!(!printed.stderr.contains(&format!("{first} is kept")), "{}", printed.stderr);

    sh(deployment.dir(), "mv mirror bin/obj-mirror").unwrap();
    restore("a.tar.age", &["--resume"], &answers("n")).expect(0);
    assert_eq!(deployment.state().unwrap(), before);
    assert!(!unsealed.exists());
}
