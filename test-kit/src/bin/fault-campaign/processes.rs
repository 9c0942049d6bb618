//! What runs on this machine, as `/proc` lists it.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// A process that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub id: i32,
    pub parent: i32,
    pub group: i32,
    pub name: String,
}

fn parse(stat: &str) -> Option<Process> {
    let (id, rest) = stat.split_once(" (")?;
    // A name may hold spaces and parentheses itself.
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let mut number = || fields.next()?.parse().ok();
    let process = Process {
        id: id.parse().ok()?,
        parent: number()?,
        group: number()?,
        name: name.to_owned(),
    };
    (state != "Z" && state != "X").then_some(process)
}

/// All of them.
pub fn all() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter_map(|stat| parse(&stat))
        .collect()
}

/// Those of a process group.
pub fn of_group(group: i32) -> Vec<Process> {
    all().into_iter().filter(|process| process.group == group).collect()
}

/// Everything below a process, parents first.
pub fn below(id: i32) -> Vec<Process> {
    let all = all();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![id];
    while let Some(parent) = parents.pop() {
        for child in all.iter().filter(|process| process.parent == parent) {
            parents.push(child.id);
            found.push(child.clone());
        }
    }
    found
}

/// Signals a process; that it has gone already is no error.
///
/// # Errors
/// If `id` is none that a process can have.
pub fn signal(id: i32, signal: Signal) -> Result<()> {
    let id = Pid::from_raw(id).context("a process id")?;
    let _ = kill_process(id, signal);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_read_and_the_dead_are_not_listed() {
        let process = parse("12 (a) (b) S 3 4 5 0").unwrap();
        assert_eq!((process.parent, process.group, &*process.name), (3, 4, "a) (b"));
        assert_eq!(parse("12 (a) Z 3 4 5 0"), None);
    }

    #[test]
    fn a_child_is_found_below_its_parent() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = below(std::process::id().cast_signed());
        assert!(found.iter().any(|process| process.id == child.id().cast_signed()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
