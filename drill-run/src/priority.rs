//! A drill takes what production leaves of the machine.

use pipe_kit::tool::Tool;
use rustix::process::{getpriority_process, setpriority_process};

/// The niceness of a drill and of all that it starts.
const NICENESS: i32 = 10;

/// Lowers our priority, which everything that is started from here on inherits. That it cannot be lowered is no reason
/// to stop.
pub fn lower() {
    let now = getpriority_process(None).unwrap_or_default();
    let _ = setpriority_process(None, now.max(NICENESS));
    // Where memory runs out, a drill ends before production does.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let own = std::process::id().to_string();
    let _ = Tool::new("ionice").args(["-c", "3", "-p", &own]).run_quietly();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_is_nice_too() {
        // Of this thread alone, as its children show.
        std::thread::spawn(|| {
            lower();
            let nice = Tool::new("nice").capture().unwrap();
            assert!(nice.trim().parse::<i32>().unwrap() >= NICENESS, "{nice}");
        })
        .join()
        .unwrap();
    }
}
