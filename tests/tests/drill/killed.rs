//! Drills that are ended at any moment: nothing is left but the report, at the latest after the next one.

use crate::kit::{Stand, marked, processes, temporary};
use anyhow::{Context, Result, bail, ensure};
use bundle_format::report::{DrillReport, DrillResult};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use test_kit::deployment::sh;
use test_kit::process::{PATIENCE, wait_until};
use test_kit::receiver::{Manner, Receiver, messages};

const STEPS: [&str; 6] = ["validate", "server", "load", "compare", "config", "checks"];

/// Of a fixed seed.
fn pause(random: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(random.u64(0..400))
}

/// How often a drill is ended: a hundred times where the tests try everything.
fn tries(few: usize) -> usize {
    let is_full = std::env::var_os("PIPRIO_TEST_FULL").is_some_and(|value| value == "yes");
    if is_full { 100 } else { few }
}

/// A drill that runs, and its log so far.
struct Running {
    child: Child,
    log: std::path::PathBuf,
}

impl Running {
    fn start(stand: &Stand, mark: &str, place: &Place) -> Result<Self> {
        let log = place.log.path().join("log");
        let script = stand.deployment.script("drill.sh", &["--newest"]);
        let mut command = marked(script, mark, place.temporary.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
        Ok(Self { child: command.spawn()?, log })
    }

    /// Waits until a step has begun, and a while longer, unless it ends before.
    fn wait_for(&mut self, step: &str, while_longer: Duration) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        let heading = format!("] {step} …");
        while !std::fs::read_to_string(&self.log)?.contains(&heading) {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("the step {step} does not begin");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(while_longer);
        Ok(())
    }

    fn end(&mut self, signal: Signal) -> Result<ExitStatus> {
        let pid = Pid::from_raw(self.child.id().cast_signed()).context("a process")?;
        let _ = kill_process(pid, signal);
        Ok(self.child.wait()?)
    }
}

/// Where its log and its temporary files go.
struct Place {
    log: tempfile::TempDir,
    temporary: tempfile::TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        Ok(Self { log: tempfile::tempdir()?, temporary: temporary()? })
    }

    /// Everything that a drill has left, but its report.
    fn left(&self, stand: &Stand) -> Result<String> {
        let below = sh(&stand.drill_dir(), "ls -A | grep -v '^lock$' || true")?;
        let temporary = sh(self.temporary.path(), "ls -A")?;
        let hidden = sh(stand.deployment.dir(), "find .drills .restore -mindepth 1 -name '.*'")?;
        Ok(below + &temporary + &hidden)
    }
}

#[test]
fn a_drill_that_is_ended_by_a_signal_leaves_nothing_but_a_report_of_that() -> Result<()> {
    let stand = Stand::new(40)?;
    let (place, mut random) = (Place::new()?, fastrand::Rng::with_seed(9));
    for at in 0..tries(8) {
        let mark = format!("terminated-{}-{at}", std::process::id());
        let mut running = Running::start(&stand, &mark, &place)?;
        let (step, pause) = (STEPS[at % STEPS.len()], pause(&mut random));
        running.wait_for(step, pause)?;
        let ended = running.end(Signal::TERM)?;
        let log = std::fs::read_to_string(&running.log)?;
        assert!(matches!(ended.code(), Some(143 | 0)), "{step} + {pause:?}: {ended:?}\n{log}");
        assert_eq!(processes(&mark)?, Vec::<String>::new(), "{step} + {pause:?}\n{log}");
        assert_eq!(place.left(&stand)?, "", "{step} + {pause:?}\n{log}");
        let newest = stand.reports()?.pop().context("no report")?;
        let report: DrillReport =
            serde_json::from_slice(&std::fs::read(newest.join("report.json"))?)?;
        let expected =
            if ended.code() == Some(0) { DrillResult::Passed } else { DrillResult::Interrupted };
        assert_eq!(report.result, expected, "{step} + {pause:?}\n{log}");
        assert_eq!(stand.reports()?.len(), at + 1);
    }
    Ok(())
}

#[test]
fn a_drill_that_does_not_end_is_ended_after_its_limit_and_reports_that() -> Result<()> {
    let stand = Stand::new(40)?;
    let place = Place::new()?;
    stand.add_check("waits.sh", "sleep 100000\n")?;
    let hooks = Receiver::start(Manner::Status(200))?;
    let lines = format!("DRILL_TIMEOUT_HOURS=0.002\\nNOTIFY_URL=http://{}/u", hooks.address());
    sh(stand.deployment.dir(), &format!("printf '{lines}\\n' >> .env"))?;
    let mark = format!("overdue-{}", std::process::id());
    let mut running = Running::start(&stand, &mark, &place)?;
    let ended = running.child.wait()?;
    let log = std::fs::read_to_string(&running.log)?;
    assert_eq!(ended.code(), Some(143), "{log}");
    assert!(log.contains("has not ended within 0.002 h (DRILL_TIMEOUT_HOURS)"), "{log}");
    assert_eq!(processes(&mark)?, Vec::<String>::new(), "{log}");
    assert_eq!(place.left(&stand)?, "", "{log}");
    let newest = stand.reports()?.pop().context("no report")?;
    let report: DrillReport = serde_json::from_slice(&std::fs::read(newest.join("report.json"))?)?;
    assert_eq!(report.result, DrillResult::Interrupted);
    let check = report.checks.iter().find(|check| check.check == "time of the drill");
    assert_eq!(check.context("no check")?.expected, "at most 0.002 h (DRILL_TIMEOUT_HOURS)");
    let sent = messages(&hooks.take())?;
    let reason = ": not ended within 0.002 h (DRILL_TIMEOUT_HOURS)";
    assert!(matches!(&sent[..], [(_, text)] if text.ends_with(reason)), "{sent:?}");
    Ok(())
}

/// A check that leaves three programs running: one of its own, one of a session of its own, and one that has nothing of
/// the drill's environment either. Then it does something more.
fn leaves_programs(stand: &Stand, mark: &str, more: &str) -> Result<()> {
    let sleep = |n: u32| format!("bash -c 'exec -a {mark}-{n} sleep 100000' &\n");
    let text = format!(
        "trap '' HUP\nown=$TMPDIR; TMPDIR=$(mktemp -d)\n{}setsid {}env -i PATH=\"$PATH\" setsid {}until [[ $(grep -lsa '^{mark}-.' /proc/[0-9]*/cmdline | \
         wc -l) -ge 3 ]]; do sleep 0.05; done\n: > \"$own/../begun\"\n{more}\n",
        sleep(1),
        sleep(2),
        sleep(3)
    );
    stand.add_check("leaves.sh", &text)
}

#[test]
fn what_a_check_leaves_running_ends_with_it_and_on_a_signal() -> Result<()> {
    let stand = Stand::new(40)?;
    let place = Place::new()?;
    let mark = format!("left-{}", std::process::id());
    leaves_programs(&stand, &mark, "echo fine")?;
    let report = stand.report(&stand.bundle, 0)?;
    let check = report.checks.iter().find(|check| check.check == "leaves.sh");
    let found = &check.context("no check")?.found;
    assert!(found.starts_with("it left ") && found.ends_with(" now ended: fine"), "{found}");
    assert_eq!(processes(&format!("{mark}-"))?, Vec::<String>::new());

    leaves_programs(&stand, &mark, "sleep 100000")?;
    for signal in [Signal::TERM, Signal::KILL] {
        let own = format!("left-by-{}-{signal:?}", std::process::id());
        let mut running = Running::start(&stand, &own, &place)?;
        wait_until("the check", || {
            ensure!(running.child.try_wait()?.is_none(), "the drill ended");
            let found = "find backups -name begun 2>/dev/null || true";
            Ok(!sh(stand.deployment.dir(), found)?.is_empty())
        })?;
        running.end(signal)?;
        if signal == Signal::KILL {
            // Nothing of the drill is in its environment, and nobody that it knew is there any more.
            sh(stand.deployment.dir(), &format!("pkill -f '^{mark}-3'"))?;
            stand.add_check("leaves.sh", "echo fine")?;
            stand.drill(&["--newest"])?.expect(0);
        }
        let log = std::fs::read_to_string(&running.log)?;
        assert_eq!(processes(&format!("{mark}-"))?, Vec::<String>::new(), "{signal:?}: {log}");
        assert_eq!(place.left(&stand)?, "", "{signal:?}: {log}");
    }
    Ok(())
}

#[test]
fn what_a_killed_drill_leaves_is_removed_by_the_next() -> Result<()> {
    let stand = Stand::new(40)?;
    let (place, mut random) = (Place::new()?, fastrand::Rng::with_seed(9));
    let begun = Instant::now();
    stand.drill(&["--newest"])?.expect(0);
    let whole = u64::try_from(begun.elapsed().as_millis())?;
    let (mut marks, mut killed) = (Vec::new(), 0);
    for at in 0..tries(16) {
        let mark = format!("killed-{}-{at}", std::process::id());
        let mut running = Running::start(&stand, &mark, &place)?;
        // By turns at any moment, and in a step, since most of the time passes in a few of them.
        let moment = if at % 2 == 0 {
            let moment = Duration::from_millis(random.u64(0..whole));
            std::thread::sleep(moment);
            format!("{moment:?}")
        } else {
            let (step, pause) = (STEPS[at / 2 % STEPS.len()], pause(&mut random));
            running.wait_for(step, pause)?;
            format!("{step} + {pause:?}")
        };
        let ended = running.end(Signal::KILL)?;
        let log = std::fs::read_to_string(&running.log)?;
        assert!(ended.signal() == Some(9) || ended.success(), "{moment}: {ended:?}\n{log}");
        killed += usize::from(!ended.success());
        marks.push(mark);
    }
    println!("{killed} of {} were killed before their end", marks.len());
    ensure!(killed > marks.len() / 2, "only {killed} of {} were killed", marks.len());
    stand.drill(&["--newest"])?.expect(0);
    stand.drill(&["--verify-reports"])?.expect(0);
    for mark in marks {
        assert_eq!(processes(&mark)?, Vec::<String>::new(), "{mark}");
    }
    assert_eq!(place.left(&stand)?, "");
    Ok(())
}

#[test]
fn a_check_ends_with_the_drill_that_is_killed() -> Result<()> {
    let stand = Stand::new(40)?;
    let place = Place::new()?;
    let check = stand.deployment.dir().join("drill.d/sleeps.sh").display().to_string();
    stand.add_check("sleeps.sh", "echo begun > \"$TMPDIR/../begun\"; sleep 500\n")?;
    let mut running = Running::start(&stand, &format!("check-{}", std::process::id()), &place)?;
    wait_until("the check", || {
        ensure!(running.child.try_wait()?.is_none(), "the drill ended");
        Ok(!sh(stand.deployment.dir(), "find backups -name begun 2>/dev/null || true")?.is_empty())
    })?;
    assert!(!processes(&check)?.is_empty());
    running.end(Signal::KILL)?;
    wait_until("the check's end", || Ok(processes(&check)?.is_empty()))?;
    std::fs::remove_file(&check)?;
    stand.drill(&["--newest"])?.expect(0);
    assert_eq!(place.left(&stand)?, "");
    Ok(())
}
