//! What every tool promises whoever calls it: operators, cron and the other tools' wrappers.
// In a test to panic is to fail.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::process::{Command, Output, Stdio};
use test_kit::tools::{Package, TOOLS, Target, packages, targets, verbs, workspace};
use test_kit::{tool, tool_path};

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

/// Checks all, and then names all that break the promise, not just the first.
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
        ensure(text(&output.stdout) == expected, format!("prints {:?}", text(&output.stdout)))
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
fn help_shows_no_secret_of_the_environment() {
    const SECRET: &str = "hunter2-in-the-environment";
    each(everything(), |target| {
        let mut command = target.command();
        for name in ["PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "REDIS_URL"] {
            command.env(name, SECRET);
        }
        let output = finish(command.arg("--help"))?;
        ensure(!text(&output.stdout).contains(SECRET), "its help shows a secret")
    });
}

/// Libraries that a tool may depend on, each with those that it depends on itself.
const LIBRARIES: [(&str, &[&str]); 4] = [
    ("pipe-kit", &[]),
    ("redis-link", &["pipe-kit"]),
    ("bundle-format", &["pipe-kit"]),
    ("run-events", &["bundle-format", "pipe-kit"]),
];

/// What every package's tests may depend on.
const TEST_KIT: &str = "test-kit";

/// The packages of the workspace that a package depends on, and those that its tests need besides.
fn needed_of_ours(name: &str) -> (Vec<String>, Vec<String>) {
    let all = packages().unwrap();
    let package = all.iter().find(|p| p.name == name).expect(name);
    let is_ours = |need: &&String| all.iter().any(|p| p.name == **need);
    let ours = |needs: &[String]| needs.iter().filter(is_ours).cloned().collect();
    (ours(&package.dependencies), ours(&package.dev_dependencies))
}

#[test]
fn no_tool_is_linked_to_another() {
    for tool in TOOLS {
        let is_library = |need: &String| LIBRARIES.iter().any(|(name, _)| name == need);
        let (mut others, mut of_tests) = needed_of_ours(tool);
        others.retain(|need| !is_library(need));
        of_tests.retain(|need| !is_library(need) && need != TEST_KIT);
        assert!(others.is_empty(), "{tool} depends on {others:?}");
        assert!(of_tests.is_empty(), "the tests of {tool} depend on {of_tests:?}");
    }
}

#[test]
fn one_package_alone_links_every_tool_for_the_packages_of_a_release() {
    let is_tool = |need: &String| TOOLS.contains(&need.as_str());
    let mut linked = needed_of_ours("piprio-backup").0;
    linked.retain(is_tool);
    linked.sort_unstable();
    let mut tools = TOOLS;
    tools.sort_unstable();
    assert_eq!(linked, tools);
    for package in packages().unwrap() {
        assert!(
            !package.dependencies.iter().any(|need| need == "piprio-backup"),
            "{}",
            package.name
        );
    }
}

#[test]
fn the_shared_plumbing_knows_no_other_package_and_no_library_knows_a_tool() {
    for (library, needs) in LIBRARIES {
        let (needed, of_tests) = needed_of_ours(library);
        assert_eq!(needed, needs, "{library}");
        assert!(of_tests.is_empty(), "the tests of {library} depend on {of_tests:?}");
    }
    assert_eq!(needed_of_ours(TEST_KIT).0, ["pipe-kit"]);
}

#[test]
fn one_package_alone_speaks_to_redis_so_that_every_tool_does_it_with_tls() {
    let all = packages().unwrap();
    let needing = |what: &str| -> Vec<&str> {
        let needs =
            |p: &&Package| p.dependencies.iter().chain(&p.dev_dependencies).any(|n| n == what);
        all.iter().filter(needs).map(|p| p.name.as_str()).collect()
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
            "features,no-dev",
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
