//! The processes below a process.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;

/// Continues those that are stopped. A process that is ended does not take its own children with it, and a
/// stopped one would stay for ever.
pub fn continue_all(ancestor: u32) {
    for pid in below(ancestor, &parents()) {
        if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
            let _ = kill_process(pid, Signal::CONT);
        }
    }
}

/// The parent of each process.
fn parents() -> HashMap<u32, u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return HashMap::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|pid: u32| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, parent(&String::from_utf8_lossy(&stat))?))
    })
    .collect()
}

/// The parent in `/proc/PID/stat`. The name in parentheses may hold spaces and parentheses itself.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn below(ancestor: u32, parents: &HashMap<u32, u32>) -> Vec<u32> {
    let mut found = vec![ancestor];
    let mut at = 0;
    while at < found.len() {
        let children = parents.iter().filter(|(_, parent)| **parent == found[at]);
        // The ids may be of different moments, and then even form a circle.
        let new: Vec<u32> = children.map(|(pid, _)| *pid).filter(|p| !found.contains(p)).collect();
        found.extend(new);
        at += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_children_and_their_children() {
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (7, 6), (6, 7)].into();
        let mut found = below(2, &parents);
        found.sort_unstable();
        assert_eq!(found, [3, 4]);
        assert_eq!(below(6, &parents), [7]);
        assert_eq!(below(9, &parents), [0; 0]);
        assert_eq!(parent("12 (a ) b) S 7 12 12 0"), Some(7));
        assert_eq!(parent("12 (a"), None);
    }
}
