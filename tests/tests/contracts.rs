//! What every tool promises whoever calls it: operators, cron and the other tools' wrappers.
// In a test to panic is to fail.
#![allow(clippy::unwrap_used)]

use pipeline_tests::tools::{TOOLS, Target, packages, targets, verbs, workspace};
use pipeline_tests::{tool, tool_path};
use std::fs::File;
use std::process::{Command, Output, Stdio};

/// A command line that can be run.
trait Run {
    fn command(&self) -> Command;

    fn run(&self, arguments: &[&str]) -> Result<Output, String> {
        finish(self.command().args(arguments))
    }
}

impl Run for Target {
    fn command(&self) -> Command {
        let mut command = Command::new(tool(self.tool));
        command.args(&self.verb).env("PATH", tool_path()).stdin(Stdio::null());
        command
    }
}

fn finish(command: &mut Command) -> Result<Output, String> {
    command.output().map_err(|e| format!("does not run: {e}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn tools() -> Vec<Target> {
    TOOLS.map(|tool| Target { tool, verb: None }).into()
}

fn everything() -> Vec<Target> {
    targets().unwrap()
}

/// Checks all, and then tells all that break the promise, not just the first.
fn each(targets: Vec<Target>, check: impl Fn(&Target) -> Result<(), String>) {
    let broken = |t: &Target| check(t).err().map(|why| format!("{}: {why}", t.name()));
    let broken: Vec<String> = targets.iter().filter_map(broken).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

fn ensure(holds: bool, why: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.into()) }
}

#[test]
fn help_is_data_with_examples_and_exit_statuses() {
    each(tools(), |target| {
        let output = target.run(&["--help"])?;
        let help = text(&output.stdout);
        ensure(output.status.code() == Some(0), format!("ended with {}", output.status))?;
        ensure(output.stderr.is_empty(), "wrote to stderr")?;
        for part in ["Usage:", "EXAMPLES", "EXIT STATUS", "--quiet", "--version"] {
            ensure(help.contains(part), format!("the help lacks {part}"))?;
        }
        Ok(())
    });
}

#[test]
fn every_subcommand_has_help_of_its_own() {
    each(everything(), |target| {
        let output = target.run(&["--help"])?;
        let usage = format!("Usage: {}", target.name());
        ensure(output.status.code() == Some(0), format!("ended with {}", output.status))?;
        ensure(text(&output.stdout).contains(&usage), format!("no line {usage:?}"))
    });
}

#[test]
fn the_tools_with_subcommands_list_those_of_the_design() {
    let expected: [(&str, &[&str]); 4] = [
        ("pg-snap", &["dump", "load", "extract", "inspect", "compare", "status", "previous"]),
        ("obj-mirror", &["verify", "status"]),
        ("cfg-pack", &["create", "list", "diff", "extract"]),
        ("bundle-manifest", &["describe", "sums", "verify", "list", "publish"]),
    ];
    for (tool, wanted) in expected {
        let listed = verbs(&text(&Target { tool, verb: None }.run(&["--help"]).unwrap().stdout));
        for verb in wanted {
            assert!(listed.iter().any(|v| v == verb), "{tool} does not list {verb}: {listed:?}");
        }
    }
}

#[test]
fn version_names_the_tool() {
    each(tools(), |target| {
        let output = target.run(&["--version"])?;
        let expected = format!("{} {}\n", target.tool, env!("CARGO_PKG_VERSION"));
        ensure(output.status.code() == Some(0), format!("ended with {}", output.status))?;
        ensure(text(&output.stdout) == expected, format!("says {:?}", text(&output.stdout)))
    });
}

#[test]
fn an_unknown_flag_is_a_usage_error_with_nothing_on_stdout() {
    each(everything(), |target| {
        let output = target.run(&["--no-such-flag"])?;
        let stderr = text(&output.stderr);
        ensure(output.status.code() == Some(2), format!("ended with {}", output.status))?;
        ensure(output.stdout.is_empty(), "wrote to stdout")?;
        ensure(stderr.contains("--no-such-flag"), format!("does not name the flag: {stderr}"))
    });
}

#[test]
fn help_on_a_full_disk_fails() {
    each(everything(), |target| {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = finish(target.command().arg("--help").stdout(full))?;
        ensure(output.status.code() == Some(1), format!("ended with {}", output.status))?;
        let stderr = text(&output.stderr);
        let line = format!("{}: ", target.tool);
        ensure(
            stderr.starts_with(&line) && stderr.lines().count() == 1,
            format!("is not one line led by the tool's name: {stderr:?}"),
        )
    });
}

#[test]
fn help_into_a_closed_pipe_fails_quietly() {
    each(everything(), |target| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = finish(target.command().arg("--help").stdout(writer))?;
        ensure(!output.status.success(), "ended with 0")?;
        ensure(output.stderr.is_empty(), format!("is not quiet: {}", text(&output.stderr)))
    });
}

#[test]
fn help_to_a_closed_stdout_fails() {
    each(everything(), |target| {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", r#"exec "$@" --help >&-"#, "sh"])
            .arg(tool(target.tool))
            .args(&target.verb);
        let output = finish(shell.stdin(Stdio::null()))?;
        ensure(output.status.code() == Some(1), format!("ended with {}", output.status))
    });
}

#[test]
fn help_tells_no_secret_of_the_environment() {
    const SECRET: &str = "hunter2-in-the-environment";
    each(everything(), |target| {
        let mut command = target.command();
        for name in ["PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "REDIS_URL"] {
            command.env(name, SECRET);
        }
        let output = finish(command.arg("--help"))?;
        ensure(!text(&output.stdout).contains(SECRET), "its help tells a secret")
    });
}

/// Each package of the workspace: its name, and the names of all it depends on.
fn dependencies() -> Vec<(String, Vec<String>)> {
    packages().unwrap().into_iter().map(|p| (p.name, p.dependencies)).collect()
}

/// Libraries that a tool may depend on, each with those that it depends on itself.
const LIBRARIES: [(&str, &[&str]); 4] = [
    ("pipe-kit", &[]),
    ("redis-link", &["pipe-kit"]),
    ("bundle-format", &["pipe-kit"]),
    ("run-events", &["bundle-format", "pipe-kit"]),
];

/// The packages of the workspace that a package depends on.
fn needed_of_ours(name: &str) -> Vec<String> {
    let all = dependencies();
    let (_, needs) = all.iter().find(|(own, _)| own == name).expect(name);
    needs.iter().filter(|need| all.iter().any(|(own, _)| own == *need)).cloned().collect()
}

#[test]
fn no_tool_is_linked_to_another() {
    for tool in TOOLS {
        let is_library = |need: &String| LIBRARIES.iter().any(|(name, _)| name == need);
        let others: Vec<_> =
            needed_of_ours(tool).into_iter().filter(|need| !is_library(need)).collect();
        assert!(others.is_empty(), "{tool} depends on {others:?}");
    }
}

#[test]
fn the_shared_plumbing_knows_no_other_package_and_no_library_knows_a_tool() {
    for (library, needs) in LIBRARIES {
        assert_eq!(needed_of_ours(library), needs, "{library}");
    }
}

#[test]
fn one_package_alone_speaks_to_redis_so_that_every_tool_does_it_with_tls() {
    let all = dependencies();
    let needing = |what: &str| -> Vec<&str> {
        let found = all.iter().filter(|(_, needs)| needs.iter().any(|need| need == what));
        found.map(|(name, _)| name.as_str()).collect()
    };
    assert_eq!(needing("redis"), ["redis-link"]);
    assert_eq!(needing("redis-link"), ["restore-run", "health-probe"]);
    // Of a tool that is built alone, whatever the others would have asked for.
    for tool in ["restore-run", "health-probe"] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args([
            "tree",
            "--locked",
            "--offline",
            "-p",
            tool,
            "-e",
            "features",
            "--prefix=none",
        ]);
        let output = command.current_dir(workspace()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let tree = text(&output.stdout);
        for feature in ["redis feature \"tls-rustls\"", "rustls feature \"ring\""] {
            assert!(tree.lines().any(|line| line.starts_with(feature)), "{tool}: no {feature}");
        }
    }
}
