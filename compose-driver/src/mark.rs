//! The mark of a command inside a container: a variable of its environment, which all that it
//! starts inherits. `docker exec` leaves them alone when it is ended itself, and nobody else ends them.

use crate::{client, docker};
use pipe_kit::warning;
use std::process::Stdio;
use std::time::Duration;

/// The variable.
pub const VARIABLE: &str = "PIPRIO_EXEC";

/// How long the container may take to end what carries the mark. With the next one, less than a
/// caller of ours waits for our end.
const END: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(5);

/// SIGTERM, five seconds, SIGKILL. Succeeds where nothing is left.
const SCRIPT: &str = r#"
marked() { for p in /proc/[0-9]*; do grep -q "PIPRIO_EXEC=$1" "$p/environ" 2>/dev/null && echo "${p#/proc/}"; done; }
pids=$(marked "$1"); [ -z "$pids" ] || kill -TERM $pids 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do [ -n "$(marked "$1")" ] || exit 0; sleep 0.5 2>/dev/null || sleep 1; done
pids=$(marked "$1"); [ -z "$pids" ] || kill -KILL $pids 2>/dev/null; sleep 1; [ -z "$(marked "$1")" ]"#;

#[derive(Clone)]
pub struct Mark {
    container: String,
    text: String,
}

impl Mark {
    pub fn new(container: &str) -> Self {
        let text = format!("{}-{:032x}", std::process::id(), fastrand::u128(..));
        Self { container: container.to_owned(), text }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Ends everything inside that carries the mark, or warns.
    pub fn end_all(&self) {
        let mut command =
            docker::command(&["exec", &self.container, "sh", "-c", SCRIPT, "-", &self.text]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let ended = client::run(command, END, "docker exec").is_ok_and(|status| status.success());
        if !ended && !self.is_container_down() {
            let id = &self.container;
            warning!("what was started in the container {id} may still run there: docker top {id}");
        }
    }

    /// One that is down has nothing left inside.
    fn is_container_down(&self) -> bool {
        let found = docker::inspect(std::slice::from_ref(&self.container), LOOK);
        found.is_ok_and(|all| all.first().is_some_and(|container| !container.has_processes()))
    }
}
