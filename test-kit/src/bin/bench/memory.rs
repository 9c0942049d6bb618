//! The memory of a tree of processes, as the kernel reports it.

use anyhow::{Result, ensure};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(100);

/// Looks every [`PERIOD`] at what all processes below this one hold.
pub struct Watch {
    end: Sender<()>,
    peak: JoinHandle<u64>,
}

impl Watch {
    /// Begins to look.
    ///
    /// # Errors
    /// If this kernel does not list the children of a process.
    pub fn start() -> Result<Self> {
        let own = std::process::id();
        let report = format!("/proc/{own}/task/{own}/children");
        ensure!(
            Path::new(&report).exists(),
            "there is no {report}: this kernel does not list the children of a process"
        );
        let (end, ended) = channel();
        Ok(Self { end, peak: std::thread::spawn(move || watch(own, &ended)) })
    }

    /// The most that was seen, in bytes.
    pub fn stop(self) -> u64 {
        drop(self.end);
        self.peak.join().unwrap_or_default()
    }
}

fn watch(root: u32, ended: &Receiver<()>) -> u64 {
    let mut peak = 0;
    loop {
        peak = peak.max(below(root));
        if ended.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout) {
            return peak;
        }
    }
}

/// Bytes that the processes below one have held at most, each by itself, of those that live now.
/// What a process held between two looks is in it, what two share is in it twice.
fn below(root: u32) -> u64 {
    children(root).into_iter().map(|child| own_peak(child) + below(child)).sum()
}

fn children(pid: u32) -> Vec<u32> {
    // A thread's children are listed with it.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|pids| pids.split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
        .collect()
}

fn own_peak(pid: u32) -> u64 {
    // One that has ended in between holds nothing.
    peak_in(&std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default())
}

/// Bytes in the line `VmHWM` of a process's status; it counts in kB of 1024.
fn peak_in(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn the_peak_is_read_in_bytes_and_a_process_without_memory_holds_none() {
        assert_eq!(peak_in("Name:\tpsql\nVmPeak:\t 9 kB\nVmHWM:\t    1500 kB\n"), 1_536_000);
        assert_eq!(peak_in("Name:\tkthreadd\n"), 0);
    }

    #[test]
    fn what_grandchildren_hold_is_counted_each_by_itself() {
        const HELD: u64 = 20_000_000;
        // Both hold their text until their input ends, and report when they have it.
        let hold = format!("x=$(head -c {HELD} /dev/zero | tr '\\0' x); echo; read end");
        let script = format!("(exec <&3; {hold}) & {hold}; wait");
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec 3<&0; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 2]).unwrap();
        let held = own_peak(child.id()) + below(child.id());
        drop(input);
        child.wait().unwrap();
        assert!(held > 2 * HELD, "{held}");
    }
}
