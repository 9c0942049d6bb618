//! libpq's own settings through the built program: which reach a command, and what is reported of the rest.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const TCP: &str = "POSTGRES_HOST=127.0.0.1\n";

/// A deployment whose service `postgres` runs where `exec` of its driver does: here.
fn deployment(dotenv: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let drivers = dir.path().join("scripts/drivers");
    std::fs::create_dir_all(&drivers).unwrap();
    std::fs::create_dir(dir.path().join("certs")).unwrap();
    std::fs::write(dir.path().join("certs/ca.pem"), "pem").unwrap();
    let driver = drivers.join("process");
    let script = "#!/bin/sh\ncase $1 in\nps) printf 'postgres\\trunning\\n' ;;\n\
                  exec) shift 2; exec \"$@\" ;;\nesac\n";
    std::fs::write(&driver, script).unwrap();
    std::fs::set_permissions(&driver, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(dir.path().join(".env"), format!("SERVICE_DRIVER=process\n{dotenv}")).unwrap();
    dir
}

fn tool(dir: &TempDir, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deploy-env"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("PIPRIO_DEPLOY", dir.path());
    command.envs(environment.iter().copied());
    command
}

/// What a command gets for some variables, separated by blanks; `-` for one that is unset.
fn got(command: &mut Command, names: &str) -> String {
    let script = "for name; do printenv \"$name\" || echo -; done";
    let words = names.split(' ');
    let output = command.args(["--", "sh", "-c", script, "-"]).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().replace('\n', " ")
}

#[test]
fn tls_asked_for_by_either_name_and_in_either_place_reaches_the_clients() {
    for (environment, dotenv) in [
        (&[("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", "certs/ca.pem")][..], ""),
        (&[("POSTGRES_SSLMODE", "verify-full"), ("POSTGRES_SSLROOTCERT", "certs/ca.pem")], ""),
        (&[], "PGSSLMODE=verify-full\nPGSSLROOTCERT=certs/ca.pem\n"),
        (&[], "POSTGRES_SSLMODE=verify-full\nPOSTGRES_SSLROOTCERT=./certs/ca.pem\n"),
        (&[("PGSSLMODE", "verify-full")], "POSTGRES_SSLMODE=disable\nPGSSLROOTCERT=certs/ca.pem\n"),
        (&[], "POSTGRES_SSLMODE=verify-full\nPGSSLMODE=disable\nPGSSLROOTCERT=certs/ca.pem\n"),
    ] {
        for via in [TCP, "POSTGRES_VIA=exec\n"] {
            let dir = deployment(&format!("{via}{dotenv}"));
            let path = dir.path().join("certs/ca.pem");
            let expected = format!("verify-full {} - 10", path.display());
            let names = "PGSSLMODE PGSSLROOTCERT PGSSLCERT PGCONNECT_TIMEOUT";
            let found = got(&mut tool(&dir, environment), names);
            assert_eq!(found, expected, "{environment:?} {dotenv}");
        }
    }
}

#[test]
fn tls_that_a_local_socket_does_not_have_is_warned_of() {
    let exec = "POSTGRES_VIA=exec\n";
    let socket = "POSTGRES_HOST=/run/postgresql\n";
    for (via, mode, is_warned) in [
        (exec, "verify-full", true),
        (socket, "require", true),
        (exec, "prefer", false),
        (TCP, "verify-full", false),
    ] {
        let dir = deployment(&format!("{via}PGSSLMODE={mode}\n"));
        let ended = tool(&dir, &[]).args(["--", "true"]).assert().success();
        let warned = contains("PGSSLMODE has no effect");
        if is_warned {
            ended.stderr(warned)
        } else {
            ended.stderr(warned.not())
        };
    }
}

#[test]
fn the_systems_certificates_verify_fully_with_every_libpq() {
    let dir = deployment(&format!("{TCP}PGSSLROOTCERT=system\n"));
    let names = "PGSSLMODE PGSSLROOTCERT";
    assert_eq!(got(&mut tool(&dir, &[]), names), "verify-full system");
    assert_eq!(got(&mut tool(&dir, &[("PGSSLMODE", "verify-full")]), names), "verify-full system");
    for mode in ["disable", "require", "verify-ca"] {
        let mut command = tool(&dir, &[("POSTGRES_SSLMODE", mode)]);
        let ended = command.args(["--", "echo", "ran"]).assert().code(2).stdout("");
        ended.stderr(contains("PGSSLROOTCERT=system needs POSTGRES_SSLMODE=verify-full"));
    }
}

#[test]
fn every_setting_is_handed_on_under_libpqs_name() {
    let text = "POSTGRES_SSLNEGOTIATION=direct\nPOSTGRES_CHANNEL_BINDING=require\n\
        POSTGRES_REQUIRE_AUTH=scram-sha-256\nPOSTGRES_GSSENCMODE=disable\n\
        PGTARGETSESSIONATTRS=read-write\nPGSSLMINPROTOCOLVERSION=TLSv1.3\n\
        POSTGRES_CONNECT_TIMEOUT=3\nPGPASSFILE=certs/ca.pem\n";
    let dir = deployment(&format!("{TCP}{text}"));
    let names = "PGSSLNEGOTIATION PGCHANNELBINDING PGREQUIREAUTH PGGSSENCMODE PGTARGETSESSIONATTRS \
                 PGSSLMINPROTOCOLVERSION PGCONNECT_TIMEOUT PGPASSFILE";
    let found = got(&mut tool(&dir, &[]), names);
    let path = dir.path().join("certs/ca.pem");
    let expected =
        format!("direct require scram-sha-256 disable read-write TLSv1.3 3 {}", path.display());
    assert_eq!(found, expected);
    tool(&dir, &[("POSTGRES_SSLMODE", "require")]).arg("show").assert().success().stdout(
        contains("POSTGRES_SSLMODE").and(contains("given as PGPASSFILE")).and(contains("TLSv1.3")),
    );
}

#[test]
fn what_is_set_and_not_handed_on_is_named() {
    let dir =
        deployment(&format!("{TCP}PGSSLMODE=verify-ca\nPGTZ=UTC\nPGPORT=5432\nPGADMIN_X=1\n"));
    let environment =
        [("PGOPTIONS", "-c hunter2=x"), ("PGSSLMODE", "require"), ("AWS_PROFILE", "hunter2")];
    let mut command = tool(&dir, &environment);
    let report = command.args(["--", "printenv", "PGOPTIONS", "AWS_PROFILE"]).assert().code(1);
    report.stdout("").stderr(
        contains("PGOPTIONS of the environment is not used: it would change every session")
            .and(contains("AWS_PROFILE of the environment is not used"))
            .and(contains("PGSSLMODE of the .env is not used: PGSSLMODE of the environment"))
            .and(contains("PGTZ of the .env is not used"))
            .and(contains("PGPORT").not())
            .and(contains("PGADMIN_X").not())
            .and(contains("hunter2").not()),
    );
    let quiet = deployment(&format!("{TCP}PGSSLMODE=require\nPGUSER=piprio\n"));
    tool(&quiet, &[]).args(["--", "true"]).assert().success().stderr(is_empty());
}

#[test]
fn settings_that_are_resolved_again_keep_what_the_operator_gave() {
    let dir = deployment(&format!("{TCP}POSTGRES_USER=app\n"));
    let us = env!("CARGO_BIN_EXE_deploy-env");
    let script = format!(
        "sed -i 's/app/other/' $PIPRIO_DEPLOY/.env; echo PGCHANNELBINDING=require >> $PIPRIO_DEPLOY/.env; \
         {us} -- printenv PGUSER PGSSLMODE PGSSLROOTCERT; \
         {us} --afresh -- printenv PGUSER PGSSLMODE PGSSLROOTCERT PGCHANNELBINDING"
    );
    let path = dir.path().join("certs/ca.pem").display().to_string();
    let environment = [("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", "certs/ca.pem")];
    let expected = format!("app\nverify-full\n{path}\nother\nverify-full\n{path}\nrequire\n");
    let mut command = tool(&dir, &environment);
    command
        .args(["--", "sh", "-c", &script])
        .assert()
        .success()
        .stdout(expected)
        .stderr(is_empty());
}

#[test]
fn a_file_that_is_not_there_stops_the_run_with_its_setting_and_path() {
    for (name, via, status) in [
        ("POSTGRES_SSLROOTCERT", TCP, 1),
        ("PGSSLCERT", TCP, 1),
        ("PGSSLCRL", TCP, 1),
        ("PGPASSFILE", TCP, 1),
        ("PGSSLROOTCERT", "POSTGRES_VIA=exec\n", 2),
        ("POSTGRES_SSLKEY", "POSTGRES_VIA=exec\n", 2),
    ] {
        let dir = deployment(&format!("{via}{name}=certs/none.pem\n"));
        let path = dir.path().join("certs/none.pem").display().to_string();
        let ended = tool(&dir, &[]).args(["--", "echo", "ran"]).assert().code(status).stdout("");
        ended.stderr(contains(name).and(contains(path)));
        let tls = !name.contains("PASS");
        let off = tool(&dir, &[("PGSSLMODE", "disable")]).args(["--", "echo", "ran"]).assert();
        if tls {
            off.success()
        } else {
            off.code(status)
        };
    }
}

#[test]
fn the_entry_of_a_service_file_gives_what_is_unset_and_contradicts_nothing() {
    let entry = "[db]\nhost=db.example.net\nport=6432\nuser=backup\ndbname=main\nsslmode=require\n";
    let dir = deployment("POSTGRES_PGSERVICE=db\nPGSERVICEFILE=certs/services\n");
    std::fs::write(dir.path().join("certs/services"), entry).unwrap();
    let names = "PGHOST PGPORT PGUSER PGDATABASE PGSERVICE PGSERVICEFILE POSTGRES_VIA";
    let found = got(&mut tool(&dir, &[]), names);
    let file = dir.path().join("certs/services");
    assert_eq!(found, format!("db.example.net 6432 backup main db {} tcp", file.display()));
    for (name, value) in [
        ("POSTGRES_HOST", "other.example.net"),
        ("POSTGRES_PORT", "5432"),
        ("POSTGRES_DB", "piprio"),
        ("PGSSLMODE", "verify-full"),
        ("POSTGRES_VIA", "exec"),
        ("PGSERVICE", "none"),
    ] {
        let command = &mut tool(&dir, &[(name, value)]);
        let ended = command.args(["--", "echo", "ran"]).assert().code(2).stdout("");
        ended.stderr(contains(name).and(contains("certs/services")));
    }
    let same = [("POSTGRES_HOST", "db.example.net"), ("PGSSLMODE", "require")];
    tool(&dir, &same).args(["--", "true"]).assert().success();
}

#[test]
fn a_word_that_libpq_does_not_know_is_a_usage_error_without_the_value() {
    for line in
        ["POSTGRES_SSLMODE=hunter2", "PGCHANNELBINDING=hunter2", "PGCONNECT_TIMEOUT=hunter2"]
    {
        let dir = deployment(&format!("{TCP}{line}\n"));
        let ended = tool(&dir, &[]).args(["--", "echo", "ran"]).assert().code(2).stdout("");
        let name = line.split('=').next().unwrap();
        ended.stderr(contains(name).and(contains("hunter2").not()));
    }
}
