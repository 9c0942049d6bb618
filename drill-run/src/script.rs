//! The operator's own checks: the files of `DEPLOY/drill.d`.

use crate::processes::{Left, Variable};
use anyhow::{Context, Result};
use pipe_kit::{Stop, child, cleanup};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How long a script may take, in seconds, and how long it then has to end.
const LIMIT: &str = "600";
const GRACE: &str = "10";
/// What a script is started with.
pub const PREFIX: [&str; 5] = ["timeout", "--kill-after", GRACE, LIMIT, "bash"];
/// `timeout` ends with it when the time is over, and with it or 137 when it had to kill.
const OVERDUE: [i32; 2] = [124, 137];
/// How much of a script's output is kept.
const LAST_LINES: usize = 5;
const LAST_BYTES: u64 = 8 * 1024;

/// The files of a directory with one of these endings, in order of name. None where there is no directory.
///
/// # Errors
/// If it cannot be read.
pub fn files(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let failed = || format!("reading {}", dir.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.is_file() && path.extension().is_some_and(|own| own == ending) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// As root, refuses checks that someone else could have written: they run as root, SQL too, since psql can run
/// commands.
///
/// # Errors
/// [`Stop::refused`] naming what others may write.
pub fn refuse_if_others_may_write(dir: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() || !dir.exists() {
        return Ok(());
    }
    let files = [files(dir, "sql")?, files(dir, "sh")?].concat();
    for path in std::iter::once(dir.to_owned()).chain(files) {
        let found = path.metadata().with_context(|| format!("reading {}", path.display()))?;
        if others_may_write(found.uid(), found.mode()) {
            return Err(Stop::refused(format!(
                "{} is writable by users other than root, so root runs no check from there; nothing was done; \
                 chown root:root {0} && chmod go-w {0}",
                path.display()
            ))
            .into());
        }
    }
    Ok(())
}

fn others_may_write(owner: u32, mode: u32) -> bool {
    owner != 0 || mode & 0o022 != 0
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whether it ended with 0.
    pub passed: bool,
    /// How it ended, and the last lines that it wrote.
    pub detail: String,
}

/// Variables of an environment.
pub type Variables = Vec<(OsString, OsString)>;

/// What a script has of our environment, unless it is given another.
pub fn environment() -> Variables {
    let names = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"].into_iter();
    names.filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect()
}

/// The variable by which what a script has left running is found, also by the next drill. It is of no other use, so a
/// script does not change it, as it may `TMPDIR`.
const MARK: &str = "PIPRIO_DRILL";

/// [`MARK`], for the scripts that run in this directory.
pub fn mark(dir: &Path) -> Variable {
    Variable::new(MARK, dir)
}

/// Runs a script with bash, with these variables alone, in a directory that is the one of its temporary files too.
/// Nothing that it starts is left.
///
/// # Errors
/// If it cannot be started, or something of it does not end.
pub fn run(script: &Path, dir: &Path, variables: Variables) -> Result<Ended> {
    let mut out = output(dir)?;
    // It ends with us, however we end: what it uses is removed.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).args(PREFIX);
    command.arg(script).current_dir(dir).env_clear().envs(variables);
    command.env("TMPDIR", dir).env(MARK, dir);
    command.stdin(Stdio::null());
    command.stdout(out.try_clone().context("a script's output")?);
    command.stderr(out.try_clone().context("a script's output")?);
    let name = script.file_name().unwrap_or_default().to_string_lossy();
    let left = Left::by(mark(dir))?;
    let after_signal = left.clone();
    let guard = cleanup::on_failure(move || drop(after_signal.end()));
    let finished = child::spawn(&mut command, name.as_ref())?.finish()?;
    let ended = left.end();
    guard.disarm();
    let ended = ended.with_context(|| format!("{name} has left a process"))?;
    let code = finished.status.code();
    let how = match code {
        Some(0) => String::new(),
        Some(code) if OVERDUE.contains(&code) => format!("ended after {LIMIT} s"),
        Some(code) => format!("status {code}"),
        None => "ended by a signal".to_owned(),
    };
    let left = match ended {
        0 => String::new(),
        ended => format!("it left {}, now ended", pipe_kit::text::count(ended, "program")),
    };
    let parts = [how, left, last_lines(&mut out)?].into_iter().filter(|part| !part.is_empty());
    Ok(Ended { passed: code == Some(0), detail: parts.collect::<Vec<_>>().join(": ") })
}

/// The file for what a script writes.
fn output(dir: &Path) -> Result<File> {
    let log = dir.join("output");
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&log);
    file.with_context(|| format!("creating {}", log.display()))
}

fn last_lines(file: &mut File) -> Result<String> {
    let size = file.metadata().context("a script's output")?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LAST_BYTES))).context("a script's output")?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).context("a script's output")?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(LAST_LINES)..].join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn ended(text: &str) -> Ended {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("it.sh");
        std::fs::write(&script, text).unwrap();
        let mut variables = environment();
        variables.push(("DRILL_DATABASE".into(), "d".into()));
        run(&script, dir.path(), variables).unwrap()
    }

    #[test]
    fn a_script_passes_by_its_status_and_its_last_lines_are_the_detail() {
        let it = ended("for n in 1 2 3 4 5 6 7; do echo \"$n $DRILL_DATABASE\" >&2; done; exit 3");
        assert_eq!(it, Ended { passed: false, detail: "status 3: 3 d; 4 d; 5 d; 6 d; 7 d".into() });
        assert_eq!(ended("echo fine"), Ended { passed: true, detail: "fine".into() });
        assert_eq!(ended("true"), Ended { passed: true, detail: String::new() });
    }

    #[test]
    fn a_script_gets_no_other_variables() {
        // Of the test itself.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let it = ended("env | grep -c CARGO_MANIFEST_DIR; [[ -n $PATH && -n $TMPDIR ]]");
        assert_eq!(it, Ended { passed: true, detail: "0".into() });
    }

    #[test]
    fn what_a_script_leaves_running_is_ended_with_it() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let fd = format!("/proc/{}/fd/{}", std::process::id(), writer.as_raw_fd());
        let it = ended(&format!(
            "exec 3>{fd}; trap '' TERM; sleep 1000 & setsid sleep 1000 & (sleep 1000 & sleep 1000) & echo fine"
        ));
        assert!(it.passed && it.detail.ends_with(" programs, now ended: fine"), "{it:?}");
        drop(writer);
        // Its end comes when no process has the pipe any more.
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn files_are_in_order_of_name_and_those_that_others_may_write_are_refused_to_root() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.sh", "a.sh", "c.sql", "readme"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let names: Vec<_> = files(dir.path(), "sh").unwrap();
        assert_eq!(names, [dir.path().join("a.sh"), dir.path().join("b.sh")]);
        assert_eq!(files(&dir.path().join("absent"), "sh").unwrap(), [""; 0].map(PathBuf::from));
        for (owner, mode, others) in
            [(0, 0o755, false), (0, 0o775, true), (0, 0o757, true), (1, 0o700, true)]
        {
            assert_eq!(others_may_write(owner, mode), others, "{owner} {mode:o}");
        }
    }
}
