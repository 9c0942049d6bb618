//! The memory that this host has to spare.

use std::path::Path;

/// Memory is taken to be so scarce where the system does not show it, in bytes.
const LITTLE: u64 = 512 << 20;

/// Bytes that can be used without taking them from others.
pub fn available() -> u64 {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let host = read(Path::new("/proc/meminfo")).as_deref().and_then(of_host);
    let limit = || {
        let groups = read(Path::new("/proc/self/cgroup"))?;
        let dir = Path::new("/sys/fs/cgroup").join(of_group(&groups)?.trim_start_matches('/'));
        read(&dir.join("memory.max"))?.trim().parse().ok()
    };
    host.into_iter().chain(limit()).min().unwrap_or(LITTLE)
}

/// `MemAvailable` of `/proc/meminfo`, which is in KiB.
fn of_host(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The control group of `/proc/self/cgroup`, where there is one hierarchy for all.
fn of_group(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_files_are_read() {
        let text = "MemTotal:       24737196 kB\nMemAvailable:   2048 kB\n";
        assert_eq!((of_host(text), of_host("MemTotal: 1 kB\n")), (Some(2 << 20), None));
        assert_eq!(
            of_group("12:cpu:/x\n0::/system.slice/a.service\n"),
            Some("/system.slice/a.service")
        );
        assert_eq!(of_group("12:memory:/x\n"), None);
        assert!(available() > 1 << 20);
    }
}
