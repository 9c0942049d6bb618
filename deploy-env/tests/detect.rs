//! `deploy-env detect`, with a stand-in for `compose-driver` beside it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The services of a deployment; `$REDIS_URL` is used by its Compose file too.
const SERVICES: &str = r#"#!/bin/sh
[ "$1" = services ] && [ -d "$PIPRIO_DEPLOY" ] || exit 9
cat <<END
[{"name": "api", "image": "piprio/api:1", "hash": "api-$REDIS_URL", "environment": {}},
 {"name": "db", "image": "postgres:16", "hash": "db", "environment": {"POSTGRES_DB": "app", "POSTGRES_PASSWORD": null}},
 {"name": "kv", "image": "redis:7", "hash": "kv", "environment": {}}]
END
"#;

struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new(driver: &str, dotenv: Option<&str>) -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap() };
        for dir in ["programs", "deploy"] {
            std::fs::create_dir(scene.dir.path().join(dir)).unwrap();
        }
        std::fs::copy(env!("CARGO_BIN_EXE_deploy-env"), scene.program()).unwrap();
        let stand_in = scene.dir.path().join("programs/compose-driver");
        std::fs::write(&stand_in, driver).unwrap();
        std::fs::set_permissions(&stand_in, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(scene.deploy().join("compose.yaml"), "services: {}\n").unwrap();
        if let Some(text) = dotenv {
            std::fs::write(scene.dotenv(), text).unwrap();
        }
        scene
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("programs/deploy-env")
    }

    fn deploy(&self) -> PathBuf {
        self.dir.path().join("deploy")
    }

    fn dotenv(&self) -> PathBuf {
        self.deploy().join(".env")
    }

    fn detect(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command.env_clear().env("PATH", "/usr/bin:/bin").arg("detect").arg("--deploy");
        command.arg(self.deploy()).args(arguments);
        command
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn what_is_certain_is_written_once_and_only_when_that_is_asked_for() {
    let scene = Scene::new(SERVICES, Some("# mine\nPIPRIO_DOMAIN=example.org"));
    let out = scene.detect(&["--json"]).assert().code(3);
    let report: Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
    assert_eq!(report["found"][0]["service"], "db");
    assert_eq!(report["application"], serde_json::json!(["api"]));
    let keys = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(&report["proposed"]), ["POSTGRES_SERVICE", "POSTGRES_DB"]);
    // It would create api's containers again.
    assert_eq!(keys(&report["needed"]), ["REDIS_URL"]);
    assert_eq!(read(&scene.dotenv()), "# mine\nPIPRIO_DOMAIN=example.org");
    let written = "# mine\nPIPRIO_DOMAIN=example.org\nPIPRIO_VERSION='4 2'\nPOSTGRES_SERVICE=db\nPOSTGRES_DB=app\n";
    for _ in 0..2 {
        scene.detect(&["--write", "--set", "PIPRIO_VERSION=4 2"]).assert().code(3);
        assert_eq!(read(&scene.dotenv()), written);
    }
    let set = ["--write", "--set", "REDIS_URL=redis://:hunter2@kv"];
    scene.detect(&set).assert().code(2).stderr(contains("secret").and(contains("hunter2").not()));
    std::fs::write(scene.dotenv(), format!("{written}REDIS_URL=redis://kv\n")).unwrap();
    scene.detect(&[]).assert().code(0);
}

#[test]
fn a_host_without_settings_gets_a_file_that_its_owner_alone_reads() {
    let scene = Scene::new(SERVICES, None);
    std::fs::remove_file(scene.deploy().join("compose.yaml")).unwrap();
    scene.detect(&[]).assert().code(3).stdout(contains("POSTGRES_HOST"));
    assert!(!scene.dotenv().exists());
    scene.detect(&["--write", "--set", "POSTGRES_HOST=db.example.org"]).assert().code(3);
    assert_eq!(read(&scene.dotenv()), "POSTGRES_HOST=db.example.org\n");
    assert_eq!(scene.dotenv().metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_disk_that_is_full_leaves_the_settings_as_they_were() {
    let before = format!("A={}\n", "x".repeat(1_000));
    let scene = Scene::new(SERVICES, Some(&before));
    // A file of at most 1,024 bytes: the new lines do not fit.
    let limited = "trap '' XFSZ; ulimit -f 1; exec \"$0\" detect --deploy \"$1\" --write";
    let mut command = Command::new("bash");
    command.args(["-c", limited]).arg(scene.program()).arg(scene.deploy());
    command.assert().code(1).stderr(contains(scene.dotenv().display().to_string()));
    assert_eq!(read(&scene.dotenv()), before);
}

#[test]
fn a_compose_file_that_cannot_be_read_is_reported_with_its_reason() {
    let driver = "#!/bin/sh\necho 'compose driver: line 3 is no YAML' >&2\nexit 1\n";
    let scene = Scene::new(driver, Some(""));
    scene.detect(&["--write"]).assert().code(1).stdout("").stderr(contains("line 3 is no YAML"));
    assert_eq!(read(&scene.dotenv()), "");
}

#[test]
fn what_an_earlier_resolution_has_set_reaches_neither_the_settings_nor_the_compose_file() {
    let dotenv = "PIPRIO_DOMAIN=${DOMAIN:-own}\nPIPRIO_VERSION=${PIPRIO_DOMAIN}\nPOSTGRES_SERVICE=db\nREDIS_URL=redis://kv\n";
    // It ends with 9 if it gets a variable that another deployment's run has set.
    let driver =
        SERVICES.replace("] || exit", "] && [ -z \"$REDIS_URL$S3_BUCKET$PGHOST\" ] || exit");
    let scene = Scene::new(&driver, Some(dotenv));
    let mut nested = scene.detect(&["--json"]);
    nested.env("PIPRIO_RESOLVED", "1").env("PIPRIO_DOMAIN", "theirs").env("DOMAIN", "shell's");
    nested.env("PIPRIO_SET", "PGHOST PIPRIO_DOMAIN REDIS_URL S3_BUCKET PIPRIO_RESOLVED PIPRIO_SET");
    nested.env("PGHOST", "theirs").env("REDIS_URL", "redis://theirs").env("S3_BUCKET", "theirs");
    let out = nested.assert().code(0);
    let report: Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
    assert_eq!(report["proposed"][0]["key"], "POSTGRES_DB");
}
