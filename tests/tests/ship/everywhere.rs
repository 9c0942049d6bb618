//! A deployment that copies to two storages, a directory and a repository at once, and comes back from each of them
//! after its host is lost.

use bundle_format::report::{DrillReport, DrillResult};
use std::path::Path;
use std::process::Command;
use test_kit::deployment::{DOMAIN, Deployment, Options, run, sh};
use test_kit::{Garage, S3, skipped};

/// The variables of a storage.
type Variables = Vec<(String, String)>;

/// The variables of a storage, as settings of a destination.
fn settings(number: u8, storage: &Variables) -> Variables {
    let suffix = |name: &str| match name {
        "AWS_ENDPOINT_URL" => "ENDPOINT",
        "AWS_REGION" => "REGION",
        "AWS_ACCESS_KEY_ID" => "ACCESS_KEY",
        _ => "SECRET_KEY",
    };
    let own = storage
        .iter()
        .map(|(name, value)| (format!("SHIP_{number}_{}", suffix(name)), value.clone()));
    std::iter::once((format!("SHIP_{number}"), "s3://offsite/host1".to_owned()))
        .chain(own)
        .collect()
}

/// How a copy is restored: the name of the copy, what else the command needs, and the variables of a new host.
struct Way {
    name: String,
    arguments: Vec<String>,
    variables: Variables,
}

fn ways(
    bundle: &str,
    place: &Path,
    first: &Variables,
    second: &Variables,
    has_restic: bool,
) -> Vec<Way> {
    let key = vec!["-i".to_owned(), place.join("key").display().to_string()];
    let mut ways = vec![
        Way {
            name: format!("s3://offsite/host1/{bundle}.tar.age"),
            arguments: key.clone(),
            variables: first.clone(),
        },
        Way {
            name: format!("SHIP_2:{bundle}"),
            arguments: key.clone(),
            variables: settings(2, second),
        },
        Way {
            name: format!("{}/copies/{bundle}.tar.age", place.display()),
            arguments: key,
            variables: Vec::new(),
        },
    ];
    if has_restic {
        let password = place.join("password").display().to_string();
        ways.push(Way {
            name: format!("restic:{}/repository:{bundle}", place.display()),
            arguments: vec!["--passphrase-file".to_owned(), password],
            variables: Vec::new(),
        });
    }
    ways
}

/// The configuration, file by file.
fn config(deployment: &Deployment) -> String {
    sh(deployment.dir(), "find .env secrets certs -type f -exec sha256sum {} + | sort").unwrap()
}

/// Nothing runs, nothing is configured, nothing is stored.
fn lose(deployment: &Deployment) {
    deployment.redis(&["FLUSHALL"]).unwrap();
    deployment.psql_in("postgres", "drop database piprio with (force)").unwrap();
    sh(deployment.dir(), "scripts/drivers/process stop api worker redis minio postgres").unwrap();
    sh(deployment.dir(), "rm -rf .env secrets certs backups .restore .drills hooks").unwrap();
}

fn command(deployment: &Deployment, script: &str, way: &Way, cache: &Path) -> Command {
    let mut command = deployment.script(script, &[]);
    command.arg(&way.name).args(&way.arguments).env("XDG_CACHE_HOME", cache);
    command
}

/// Puts the configuration in place, then restores with the command that this prints.
fn come_back(deployment: &Deployment, way: &Way, cache: &Path) {
    let mut bootstrap = command(deployment, "restore.sh", way, cache);
    bootstrap.arg("--bootstrap").envs(way.variables.iter().map(|(name, value)| (name, value)));
    let bootstrapped = run(bootstrap, &format!("{DOMAIN}\n")).unwrap().expect(0);
    let next = bootstrapped.stderr.lines().find_map(|line| line.split_once(", then: "));
    let next = next.unwrap_or_else(|| panic!("{}", bootstrapped.stderr)).1.to_owned();
    sh(deployment.dir(), &format!("printf '{DOMAIN}\\nn\\n' | {next}")).unwrap();
    assert!(!deployment.dir().join("backups/.unsealed").exists(), "{}", way.name);
}

#[test]
fn a_deployment_comes_back_from_every_place_that_it_was_copied_to_at_once() {
    let version = Command::new("restic").arg("version").output();
    let has_restic = version.is_ok_and(|out| out.status.success());
    if !has_restic {
        skipped!("the restore from a restic repository, because restic is missing");
    }
    let garage = Garage::start("offsite");
    if let Err(why) = &garage {
        skipped!("Garage as one of the storages, because {why:#}");
    }
    let (own, other) = (S3::start("offsite").unwrap(), S3::start("offsite").unwrap());
    let first = garage.as_ref().map_or_else(|_| own.env(), Garage::env);
    let second = other.env();
    let place = tempfile::tempdir().unwrap();
    let (place, cache) = (place.path(), place.path().join("cache"));
    let deployment = Deployment::temporary(&Options::default()).unwrap();
    let mut lines: Vec<String> = [settings(1, &first), settings(2, &second)]
        .concat()
        .into_iter()
        .map(|(name, value)| format!("{name}='{value}'"))
        .collect();
    lines.push("SHIP_RECIPIENTS=certs/backup.pub".into());
    lines.push(format!("SHIP_3='{}/copies'", place.display()));
    if has_restic {
        lines.push(format!("SHIP_4='restic:{}/repository'", place.display()));
        lines.push("SHIP_4_PASSWORD_FILE=secrets/restic_password".into());
    }
    sh(
        deployment.dir(),
        &format!(
            "age-keygen -o '{0}/key' 2>/dev/null && mkdir -p certs '{0}/copies'
             age-keygen -y '{0}/key' > certs/backup.pub
             printf '%s' planted-password > '{0}/password' && cp '{0}/password' secrets/restic_password
             cat >> .env <<'END'\n{1}\nEND",
            place.display(),
            lines.join("\n")
        ),
    )
    .unwrap();
    if has_restic {
        deployment.run_script("ship.sh", &["init"], "").unwrap().expect(0);
    }
    deployment.backup(&[]).unwrap().expect(0);
    let verified = deployment.run_script("ship.sh", &["verify", "--json"], "").unwrap().expect(0);
    let verified: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
    let count = if has_restic { 4 } else { 3 };
    assert_eq!(verified["copies"].as_array().unwrap().len(), count);
    let bundle = deployment.newest_bundle().unwrap();
    let bundle = bundle.file_name().unwrap().to_str().unwrap().to_owned();
    let before = (deployment.state().unwrap(), config(&deployment));

    for way in ways(&bundle, place, &first, &second, has_restic) {
        lose(&deployment);
        come_back(&deployment, &way, &cache);
        assert_eq!((deployment.state().unwrap(), config(&deployment)), before, "{}", way.name);
        // The host has its settings again, and drills from there.
        let mut drill = command(&deployment, "drill.sh", &way, &cache);
        drill.arg("--json");
        let drilled = run(drill, "").unwrap().expect(0);
        let report: DrillReport = serde_json::from_str(&drilled.stdout).unwrap();
        assert_eq!((&report.bundle.name, report.result), (&bundle, DrillResult::Passed));
        assert!(!deployment.dir().join("backups/.drill/.drill-unsealed").exists());
    }
}
