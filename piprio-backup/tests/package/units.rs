//! The units of the package, beside those that `install.sh` writes.

use crate::{has, source, stderr};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The settings of a section, without those that name the deployment.
fn settings(path: &Path, section: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let own = text.lines().skip_while(|line| *line != format!("[{section}]")).skip(1);
    let own = own.take_while(|line| !line.starts_with('['));
    let named = ["User=", "ExecStart=", "ReadWritePaths="];
    let is_setting = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let is_kept = |line: &&str| !named.iter().any(|name| line.starts_with(name));
    // The templates run as root.
    let as_root = |line: &str| line.replace("@CONFINED@", "no");
    own.filter(is_setting).filter(is_kept).map(as_root).collect()
}

#[test]
fn templates_keep_the_limits_and_times_of_the_units_of_install() {
    let pairs = [("piprio-backup", "piprio-backup"), ("piprio-backup-drill", "piprio-drill")];
    for (packaged, installed) in pairs {
        let packaged = |kind: &str| source(&format!("packaging/systemd/{packaged}@.{kind}"));
        let installed = |kind: &str| source(&format!("contrib/systemd/{installed}.{kind}"));
        for (kind, section) in [("service", "Service"), ("timer", "Timer"), ("timer", "Install")] {
            let (ours, theirs) =
                (settings(&packaged(kind), section), settings(&installed(kind), section));
            assert!(theirs.len() > 2 || section == "Install", "{theirs:?}");
            assert_eq!(ours, theirs, "{}", packaged(kind).display());
        }
    }
}

#[test]
fn a_drill_may_give_what_it_extracts_every_mode() {
    for unit in
        ["packaging/systemd/piprio-backup-drill@.service", "contrib/systemd/piprio-drill.service"]
    {
        let settings = settings(&source(unit), "Service");
        // With it, no directory gets its setgid bit.
        let denied = settings.iter().find(|line| line.starts_with("RestrictSUIDSGID="));
        assert_eq!(denied, None, "{unit}");
    }
}

#[test]
fn systemd_accepts_every_template() {
    if !has("systemd-analyze") || !has("systemd-escape") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let units = dir.path().join("units");
    std::fs::create_dir(&units).unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(source("packaging/systemd")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        // What is checked is whether the program exists, and the package is not installed here.
        let text = text.replace("/usr/bin/piprio-backup", "/bin/true");
        let text = text.replace("Documentation=man:piprio-backup(1)\n", "");
        std::fs::write(units.join(&name), text).unwrap();
        names.push(name);
    }
    assert!(names.len() == 9, "{names:?}");
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    for name in &names {
        let instance = name.replace("@.", "@srv-my\\x2dapp-deploy.");
        std::fs::copy(units.join(name), units.join(&instance)).unwrap();
        verify.arg(units.join(instance));
    }
    verify.env("SYSTEMD_UNIT_PATH", format!("{}:", units.display()));
    let output = verify.output().unwrap();
    let words = stderr(&output);
    let ours: Vec<&str> = words.lines().filter(|line| line.contains("piprio-")).collect();
    assert!(output.status.success() && ours.is_empty(), "{}: {words}", output.status);
}
