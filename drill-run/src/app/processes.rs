//! What a drill has started and that still runs: a restore that is ended brings services back first, which a drill has
//! no use for, and which would create anew what is being removed.

use anyhow::{Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// How often it is looked whether they have ended, and the pause in between.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// Ends every process that has this deployment in its environment.
///
/// # Errors
/// If one does not end.
pub fn end_all(deploy: &Path) -> Result<()> {
    let variable = [b"PIPRIO_DEPLOY=", deploy.as_os_str().as_bytes()].concat();
    for _ in 0..TRIES {
        if ended(&variable) == 0 {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    bail!("a process with PIPRIO_DEPLOY={} does not end; to see them: ps e -A", deploy.display())
}

/// Kills all there are, and gives their number.
fn ended(variable: &[u8]) -> usize {
    let own = std::process::id().cast_signed();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| *id != own && has(*id, variable) && kill(*id, variable)).count()
}

fn has(id: i32, variable: &[u8]) -> bool {
    let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|it| it == variable)
}

/// Whether it was there. Looked at again once it is held: its number may be another's by now.
fn kill(id: i32, variable: &[u8]) -> bool {
    let held = Pid::from_raw(id).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let Some(held) = held.filter(|_| has(id, variable)) else { return false };
    let _ = pidfd_send_signal(held, Signal::KILL);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn only_processes_of_the_deployment_are_ended_with_their_children() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (dir.path().join("deploy"), dir.path().join("deploy2"));
        let start = |deploy: &Path| {
            let mut command = Command::new("sh");
            command.args(["-c", "trap '' TERM; sleep 1000 & wait"]).env("PIPRIO_DEPLOY", deploy);
            command.spawn().unwrap()
        };
        let (mut first, mut second) = (start(&own), start(&other));
        end_all(&own).unwrap();
        assert!(!first.wait().unwrap().success());
        assert!(second.try_wait().unwrap().is_none());
        end_all(&own).unwrap();
        end_all(&other).unwrap();
        assert!(!second.wait().unwrap().success());
    }
}
