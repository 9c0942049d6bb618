//! Progress for a program that drives the toolkit: JSON on stderr.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use test_kit::tool;

/// Runs `pg-snap inspect -` on text that comes slowly, until it has reported progress.
fn first_report(command: &mut Command) -> Result<Value> {
    command
        .args(["inspect", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().context("no stdin")?;
    input.write_all("SELECT 1;\n".repeat(1 << 19).as_bytes())?;
    input.flush()?;
    // The tool waits for more meanwhile.
    let stderr = BufReader::new(child.stderr.take().context("no stderr")?);
    let object = stderr.lines().map_while(Result::ok).find(|line| line.starts_with('{'));
    drop(input);
    child.wait()?;
    Ok(serde_json::from_str(&object.context("no object")?)?)
}

#[test]
fn progress_is_an_object_a_line_where_it_is_asked_for() -> Result<()> {
    let mut by_option = Command::new(tool("pg-snap"));
    by_option.args(["--progress", "json"]);
    let mut from_parent = Command::new(tool("pg-snap"));
    from_parent.env("PIPE_KIT_PROGRESS", "json");
    for command in [&mut by_option, &mut from_parent] {
        let report = first_report(command)?;
        assert_eq!(report["progress"], "inspect");
        let number = |key: &str| report[key].as_u64().unwrap_or_default();
        ensure!(number("bytes") > 0 && number("bytes_per_second") > 0, "{report}");
        // The length of a stream is not known.
        ensure!(report["total"].is_null() && report["percent"].is_null(), "{report}");
    }
    Ok(())
}

#[test]
fn a_runner_hands_the_form_of_progress_on_to_what_it_starts() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin)?;
    std::fs::write(
        dir.path().join(".env"),
        "POSTGRES_VIA=tcp\nPOSTGRES_HOST=127.0.0.1\nSERVICE_DRIVER=./driver\n",
    )?;
    for (program, script) in
        [("driver", ":"), ("bin/pg-snap", "echo \"progress is $PIPE_KIT_PROGRESS\" >&2; exit 1")]
    {
        let path = dir.path().join(program);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    let mut command = Command::new(tool("backup-run"));
    let out = command.args(["--progress", "json"]).env("PIPRIO_DEPLOY", dir.path()).output()?;
    let stderr = String::from_utf8_lossy(&out.stderr);
    ensure!(stderr.contains("progress is json\n"), "{stderr}");
    Ok(())
}
