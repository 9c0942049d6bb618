//! Commands that run where a service runs.

use crate::client::Client;
use crate::deployment::Deployment;
use crate::mark::{self, Mark};
use crate::outlet::Outlet;
use crate::{docker, lookup};
use anyhow::Result;
use pipe_kit::{Exit, cleanup, log, output, status};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

/// The least status that may be the client's own, and not the command's.
const CLIENT_FAILED: u8 = 125;

/// Sends the output into the pipe and becomes the command.
const INTO_PIPE: &str = r#"
[ -p "$0" ] || { echo "the pipe for the output is gone: $0" >&2; exit 125; }
exec >"$0"
rm -f "$0" 2>/dev/null
exec "$@""#;

/// Runs a command in the container of a service, and gives its status. A signal ends the client
/// first: while it lives, what it asks for may only be about to begin. Then what it has started
/// inside, and the pipe goes last.
///
/// # Errors
/// If the service is not running, or output of a command that ended well was not passed on.
pub fn exec(deployment: &Deployment, service: &str, words: &[OsString]) -> Result<u8> {
    let standard_output = output::unbuffered()?;
    let id = lookup::container_of(deployment, service)?;
    let mark = Mark::new(&id);
    let pipe = format!("/dev/shm/{}", pipe_name(&mark));
    let outlet = Outlet::make(&id, &pipe_name(&mark));
    let all = mark.clone();
    let inside = cleanup::on_failure(move || all.end_all());
    let names = std::env::vars_os().map(|(name, _)| name);
    let command = command(&id, &mark, names, outlet.as_ref().map(|_| pipe.as_str()), words);
    let client = match Client::start(command) {
        Ok(client) => client,
        Err(error) => {
            inside.disarm();
            return Err(error);
        }
    };
    let passed_on = outlet.map(|outlet| outlet.pass_on(standard_output));
    let status = number(client.wait()?);
    if status >= CLIENT_FAILED {
        mark.end_all();
    }
    inside.disarm();
    let missing = passed_on.map_or(Ok(()), |passed_on| passed_on.finish());
    match missing {
        Err(error) if status == 0 => Err(error),
        Err(error) if status::of(&error) != Exit::ClosedPipe => {
            log::line(format_args!("{error:#}"));
            Ok(status)
        }
        _ => Ok(status),
    }
}

fn pipe_name(mark: &Mark) -> String {
    format!(".piprio-{}", mark.text())
}

/// `docker exec` of the command, with its output into a pipe inside, where there is one. Variables
/// are passed by name: a value would be in the command line, for everyone to read.
fn command(
    id: &str,
    mark: &Mark,
    environment: impl Iterator<Item = OsString>,
    pipe: Option<&str>,
    words: &[OsString],
) -> Command {
    let mut command = docker::command(&["exec", "-i", "-e", mark::VARIABLE]);
    command.stdin(Stdio::inherit()).env(mark::VARIABLE, mark.text());
    for name in environment.filter(|name| is_for_clients(name)) {
        command.arg("-e").arg(name);
    }
    command.arg(id);
    if let Some(pipe) = pipe {
        command.args(["sh", "-c", INTO_PIPE, pipe]);
    }
    command.args(words);
    command
}

/// Whether a variable is one of PostgreSQL's clients, and not one of our own tool.
fn is_for_clients(name: &OsStr) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.to_str().is_some_and(|name| {
        name.starts_with("PG") && !name.starts_with("PG_SNAP_") && name.chars().all(is_word)
    })
}

/// A status as a shell has it.
fn number(status: ExitStatus) -> u8 {
    let signal = || status.signal().map(|signal| 128 + signal);
    let number = status.code().or_else(signal).and_then(|number| u8::try_from(number).ok());
    number.unwrap_or(Exit::Failed.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> String {
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn a_status_is_the_commands_own_or_that_of_its_signal() {
        // As waitpid encodes them.
        for (raw, expected) in [(0, 0), (7 << 8, 7), (255 << 8, 255), (9, 137), (15, 143)] {
            assert_eq!(number(ExitStatus::from_raw(raw)), expected);
        }
    }

    #[test]
    fn clients_variables_are_passed_by_name_and_no_other_is() {
        let mark = Mark::new("c1");
        let names = ["PGUSER", "PGPASSWORD", "PG_SNAP_EXEC", "PATH", "APGX", "PG-ODD", "PG"];
        let names = || names.map(OsString::from).into_iter();
        let asked = ["psql".into(), "a b".into()];
        let engine = command("c1", &mark, names(), None, &asked);
        let expected = "exec -i -e PIPRIO_EXEC -e PGUSER -e PGPASSWORD -e PG c1";
        assert_eq!(words(&engine), format!("{expected} psql a b"));
        let piped = words(&command("c1", &mark, names(), Some("/dev/shm/p"), &asked));
        assert!(piped.starts_with(&format!("{expected} sh -c ")), "{piped}");
        assert!(piped.ends_with(" /dev/shm/p psql a b"), "{piped}");
        assert!(!words(&engine).contains(mark.text()));
    }
}
