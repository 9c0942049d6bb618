//! What the driver does where an engine does not do as it should. A script stands in for `docker`: a
//! real engine is not made to show these faults. The tests on a real one are in `tests/tests/compose/`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

/// What `docker inspect` prints of a running container of the service db.
const DB: &str = r#"[{"Id":"c1","State":{"Status":"running","Pid":1,"ExitCode":0,"StartedAt":""},
"Config":{"Labels":{"com.docker.compose.service":"db","com.docker.compose.project.working_dir":"@"}},
"HostConfig":{"NetworkMode":"x","RestartPolicy":{"Name":"no"}},"NetworkSettings":{}}]"#;

/// An engine that has that container, of a deployment with the services db and api.
const USUAL: &str = "
case \"$*\" in
'compose version') ;;
'compose ps -a -q') echo c1 ;;
'compose config --hash *') printf 'db 1\\napi 2\\n' ;;
'inspect c1') read_answer ;;
'ps --no-trunc'*) echo '{\"id\":\"c1\",\"project\":\"deploy\"}' ;;
*) exit 99 ;;
esac";

/// A deployment, and a script in place of `docker`; nothing else is on PATH.
struct Stand {
    dir: TempDir,
}

impl Stand {
    fn new(docker: &str) -> Self {
        let stand = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(stand.path("bin")).unwrap();
        std::fs::create_dir(stand.path("deploy")).unwrap();
        let answer = DB.replace('@', &stand.path("deploy").display().to_string());
        std::fs::write(stand.path("answer"), answer).unwrap();
        let root = stand.dir.path().display();
        let script = format!(
            "#!/bin/sh\nroot='{root}'\nread_answer() {{ /bin/cat \"$root/answer\"; }}\n{docker}\n"
        );
        std::fs::write(stand.path("bin/docker"), script).unwrap();
        let mode = PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(stand.path("bin/docker"), mode).unwrap();
        stand
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn run(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_compose-driver"));
        command.args(words).env("PIPRIO_DEPLOY", self.path("deploy")).env("PATH", self.path("bin"));
        command.env_remove("PIPRIO_SET").env_remove("COMPOSE_PROJECT_NAME").write_stdin("input");
        command
    }
}

#[test]
fn a_container_that_was_removed_meanwhile_does_not_hide_the_others() {
    let gone = USUAL.replace("echo c1", "echo 'c1 c2'").replace("'inspect c1'", "'inspect c1 c2'");
    let stand = Stand::new(&gone.replace("read_answer ;;", "read_answer; exit 1 ;;"));
    stand.run(&["ps"]).assert().success().stdout("api\tstopped\ndb\trunning\n").stderr("");
    std::fs::write(stand.path("answer"), "[]").unwrap();
    let all = stand.run(&["ps"]).assert().code(1).stdout("");
    all.stderr(contains("cannot ask docker for the containers of /"));
}

#[test]
fn what_is_missing_or_does_not_work_is_named() {
    let failing = |call: &str| USUAL.replace(call, &format!("{call}) echo why >&2; exit 15 ;; (x"));
    for (docker, words) in [
        (
            failing("'compose version'"),
            "neither \"docker compose\" nor docker-compose is installed",
        ),
        (failing("'compose ps -a -q'"), "cannot ask docker compose for the containers of /"),
        (failing("'compose config --hash *'"), "cannot be read by docker compose"),
        (failing("'inspect c1'"), "cannot ask docker for the containers of /"),
    ] {
        let run = Stand::new(&docker).run(&["ps"]).assert().code(1).stdout("");
        let line = predicate::str::is_match("(?m)^compose-driver: ").unwrap().count(1);
        run.stderr(contains(words).and(line));
    }
    let stand = Stand::new("");
    std::fs::remove_file(stand.path("bin/docker")).unwrap();
    for words in [&["ps"][..], &["exec", "db", "true"], &["start", "db"], &["addr", "db", "1"]] {
        let run = stand.run(words).assert().code(1).stdout("");
        run.stderr(contains("docker is not on PATH"));
    }
    std::fs::remove_dir(stand.path("deploy")).unwrap();
    stand.run(&["ps"]).assert().code(5).stderr(contains("is not a directory"));
}

#[test]
fn an_image_is_that_of_a_container_else_of_the_configuration() {
    let stand = Stand::new(USUAL);
    let path = stand.path("answer");
    let answer = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, answer.replace("\"Id\"", "\"Image\":\"sha256:7\",\"Id\"")).unwrap();
    stand.run(&["image", "db"]).assert().success().stdout("sha256:7\n").stderr("");
    let config = "printf 'services:\\n  api:\\n    %s\\n'";
    let with =
        |line: &str| {
            Stand::new(&USUAL.replace(
                "*) exit 99",
                &format!("'compose config') {config} '{line}' ;; *) exit 99"),
            ))
        };
    let configured = with("image: api:3").run(&["image", "api"]).assert().success();
    configured.stdout("api:3\n").stderr("");
    let built = with("build: .").run(&["image", "api"]).assert().code(1).stdout("");
    built.stderr(contains("the service api names no image and has no container"));
    stand.run(&["image", "none"]).assert().code(2).stderr(contains("no service none"));
}

#[test]
fn quiet_hides_what_compose_prints_unless_it_fails() {
    let stop = |end: &str| {
        USUAL.replace(
            "*) exit 99",
            &format!("'compose stop db') echo Stopping; {end} ;; *) exit 99"),
        )
    };
    let done = Stand::new(&stop("echo done >&2"));
    done.run(&["stop", "db"]).assert().success().stdout("").stderr("Stopping\ndone\n");
    done.run(&["--quiet", "stop", "db"]).assert().success().stdout("").stderr("");
    let failed = Stand::new(&stop("echo why >&2; exit 3"));
    let run = failed.run(&["stop", "-q", "db"]).assert().code(1).stdout("");
    run.stderr(contains("Stopping\nwhy\n").and(contains("docker compose stop db failed")));
    let list = failed.path("deploy/.restore/stopped-containers");
    assert_eq!(std::fs::read_to_string(&list).unwrap(), "c1\n");
    assert_eq!(list.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn compose_gets_no_input_and_nothing_that_the_run_has_set() {
    let look =
        "[ -z \"$(/bin/cat)\" ] || exit 98; echo \"$PWD|$A|$B|$PIPRIO_SET\" > \"$root/seen\"";
    let stand =
        Stand::new(&USUAL.replace("'compose ps -a -q')", &format!("'compose ps -a -q') {look};")));
    let mut command = stand.run(&["ps"]);
    command.env("PIPRIO_SET", "A PIPRIO_SET").env("A", "set").env("B", "kept").current_dir("/");
    command.assert().success();
    let seen = std::fs::read_to_string(stand.path("seen")).unwrap();
    assert_eq!(seen, format!("{}||kept|\n", stand.path("deploy").display()));
}

#[test]
fn a_command_has_the_callers_streams_and_the_engines_status() {
    let exec = "exec*) shift; echo \"$*|$PGUSER\"; /bin/cat; echo err >&2; exit 7 ;; *) exit 99";
    let docker = USUAL.replace("'inspect c1') read_answer ;;", "").replace("*) exit 99", exec);
    let stand = Stand::new(&docker);
    let run = stand.run(&["exec", "db", "psql", "-c", "a b"]).env("PGUSER", "me").assert();
    let expected = "-i -e PIPRIO_EXEC -e PGUSER c1 psql -c a b|me\ninput";
    run.code(7).stdout(expected).stderr("err\n");
    // Where another service runs, and this one does not.
    let docker = USUAL.replace("echo '{\"id\":\"c1\",\"project\":\"deploy\"}'", ":");
    let stand = Stand::new(&docker);
    let run = stand.run(&["exec", "api", "true"]).assert().code(1);
    run.stderr(
        contains("the service api is not running: ").and(contains("compose-driver start api\n")),
    );
    stand.run(&["exec", "none", "true"]).assert().code(2).stderr(contains("no service none"));
}

#[test]
fn a_command_whose_output_has_no_place_to_go_is_not_run() {
    let stand = Stand::new(&USUAL.replace("*) exit 99", "*) : > \"$root/run\"; exit 0"));
    let mut shell = Command::new("/bin/sh");
    let program = env!("CARGO_BIN_EXE_compose-driver");
    shell.args(["-c", "exec \"$0\" exec db true >&-", program]);
    shell.env("PATH", stand.path("bin")).env("PIPRIO_DEPLOY", stand.path("deploy"));
    shell.assert().code(1).stderr(contains("standard output is closed"));
    assert!(!stand.path("run").exists());
}

#[test]
fn a_volume_that_the_engine_made_again_without_its_label_is_removed_and_no_other() {
    // It comes back when it was removed, once: for a container that was being created.
    let stand = Stand::new(
        "
echo \"$*\" >> \"$root/calls\"
case \"$*\" in
*label=*) [ -e \"$root/again\" ] || [ \"$1\" != volume ] || echo piprio-drill-1_db ;;
'volume ls -q') echo piprio-drill-1_db2; [ -e \"$root/removed\" ] || echo piprio-drill-1_db ;;
'volume rm -f piprio-drill-1_db') [ ! -e \"$root/again\" ] || : > \"$root/removed\"; : > \"$root/again\" ;;
*) exit 99 ;;
esac",
    );
    stand
        .run(&["destroy", "--project", "piprio-drill-1"])
        .assert()
        .success()
        .stderr(contains("piprio-drill-1: 2 parts removed"));
    assert!(stand.path("removed").exists());
    let calls = std::fs::read_to_string(stand.path("calls")).unwrap();
    assert_eq!(calls.matches("volume rm").count(), 2, "{calls}");
}

#[test]
fn a_drills_project_is_named_to_compose_whatever_lies_in_the_directories_above() {
    let stand = Stand::new(
        "
echo \"$1 $2 $COMPOSE_FILE $COMPOSE_PROJECT_NAME\" >> \"$root/calls\"
case \"$*\" in
'compose config --hash *') echo 'db 1' ;;
esac",
    );
    let dotenv = "COMPOSE_FILE=compose.drill.yml\nCOMPOSE_PROJECT_NAME=piprio-drill-1\n";
    std::fs::write(stand.path("deploy/.env"), dotenv).unwrap();
    stand.run(&["ps"]).assert().success().stdout("db\tstopped\n");
    let calls = std::fs::read_to_string(stand.path("calls")).unwrap();
    let asked = "compose ps compose.drill.yml piprio-drill-1\n";
    assert!(calls.contains(asked), "{calls}");
    assert!(calls.contains(&asked.replace("ps", "config")), "{calls}");
}

#[test]
fn a_compose_file_outside_the_deployment_is_its_own_unless_another_deployment_has_it() {
    let config =
        "printf 'services:\\n  ask:\\n    labels:\\n      file: %s\\n      separator: \"\"\\n'";
    let stand = |named: &str| {
        let asked = format!("'compose -f - config') {config} '{named}' ;; *) exit 99");
        let docker = USUAL.replace("*) exit 99", &asked);
        let stand = Stand::new(
            &docker
                .replace("'ps --no-trunc'*)", "'ps --no-trunc'*) echo \"$*\" > \"$root/asked\";"),
        );
        let answer = stand.path("answer");
        let text = std::fs::read_to_string(&answer).unwrap();
        std::fs::write(answer, text.replace("/deploy\"", "\"")).unwrap();
        std::fs::write(stand.path("deploy/.env"), "COMPOSE_PROJECT_NAME=deploy\n").unwrap();
        stand
    };
    let refused = |stand: &Stand| {
        let run = stand.run(&["stop", "db"]).assert().code(5).stdout("");
        String::from_utf8(run.get_output().stderr.clone()).unwrap()
    };
    let (named, found) = (stand("../compose.yml"), stand("\"\""));
    std::fs::write(found.path("compose.yml"), "").unwrap();
    let dotenv = "COMPOSE_PROJECT_NAME=deploy\nCOMPOSE_FILE=../compose.yml\n";
    std::fs::write(named.path("deploy/.env"), dotenv).unwrap();
    for stand in [&named, &found] {
        stand.run(&["ps"]).assert().success().stdout("api\tstopped\ndb\trunning\n").stderr("");
        stand.run(&["image", "api"]).assert().code(1);
        // The engine alone is asked, for the directory that Compose has noted.
        stand.run(&["addr", "db", "1"]).assert().code(1);
        let asked = std::fs::read_to_string(stand.path("asked")).unwrap();
        let dir = stand.path("deploy");
        let noted = format!("project.working_dir={} ", dir.parent().unwrap().display());
        assert!(asked.contains(&noted), "{asked}");
        std::fs::write(stand.path(".env"), "").unwrap();
        let error = refused(stand);
        assert!(
            error.contains("is another deployment") && !error.contains("PROJECT_NAME"),
            "{error}"
        );
    }
    // Nothing leads there from this deployment.
    let error = refused(&stand("compose.yml"));
    assert!(
        error.contains("not to ") && error.contains("set another COMPOSE_PROJECT_NAME"),
        "{error}"
    );
    assert!(
        refused(&stand("/srv/compose.yml"))
            .contains("not to /srv, where the first Compose file lies")
    );
}

#[test]
fn a_drill_does_not_isolate_services_whose_compose_file_is_outside_the_deployment() {
    let config = "printf 'services:\\n  ask:\\n    labels:\\n      file: ../compose.yml\\n      separator: \"\"\\n'";
    let asked = format!("'compose -f - config') {config} ;; *) exit 99");
    let stand = Stand::new(&USUAL.replace("*) exit 99", &asked));
    std::fs::create_dir(stand.path("drill")).unwrap();
    let dotenv = "COMPOSE_FILE=compose.drill.yml\nCOMPOSE_PROJECT_NAME=piprio-drill-1\n";
    std::fs::write(stand.path("drill/.env"), dotenv).unwrap();
    let mut command = stand.run(&["isolate", "--from"]);
    command.arg(stand.path("deploy")).env("PIPRIO_DEPLOY", stand.path("drill"));
    command.assert().code(5).stderr(contains("cannot isolate these services"));
}
