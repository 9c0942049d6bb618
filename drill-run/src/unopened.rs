//! A drill of a copy that could not be opened. `drill.sh` opens it before there is a bundle to drill; that failure is
//! recorded and reported as that of any other drill.

use crate::deadline::Deadline;
use crate::end::End;
use crate::report::Reports;
use crate::results::Results;
use crate::sequence::Options;
use crate::settings::Settings;
use crate::step::Step;
use crate::workplace::Drills;
use anyhow::{Result, anyhow};
use bundle_format::domain::UNKNOWN;
use bundle_format::report::{DrillReport, DrillResult, DrilledBundle, RunKind};
use bundle_format::shipments::without_password;
use pipe_kit::text::one_line;
use pipe_kit::{Exit, Stop, warning};
use run_events::Events;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Records and reports a drill of `copy`, as `drill.sh` takes it, that ended with this status. Neither is done of a part
/// of a drill or a dry run.
///
/// # Errors
/// Always: [`Stop`] with the status, or with [`Exit::Failed`] for that of a signal.
pub fn run(
    settings: &Settings,
    options: &Options,
    copy: &Path,
    status: u8,
    is_recorded: bool,
) -> Result<Exit> {
    let copy = without_password(&one_line(&copy.to_string_lossy()));
    let failure = format!("{copy} could not be opened (status {status})");
    let stop = Stop::with_exit(exit_of(status), format!("{failure}; nothing was restored"));
    let result = Err(stop.into());
    if is_recorded {
        let events = Events::begin(RunKind::Drill);
        // The record and the reports are those of the drill that holds the lock.
        let drills = Drills::lock(&settings.dir);
        let reported = match &drills {
            Ok(_) => report(settings, options, &events, &copy, status, &failure),
            Err(error) => Err(anyhow!("no report is written: {error:#}")),
        };
        reported.unwrap_or_else(|error| warning!("{error:#}"));
        // Nothing that sends events needs it, and another drill may have opened its copy by now.
        drop(drills);
        events.end_with(status, &result);
    }
    result
}

fn report(
    settings: &Settings,
    options: &Options,
    events: &Events,
    copy: &str,
    status: u8,
    failure: &str,
) -> Result<()> {
    let state_dir = settings.state_dir();
    let record = events.open(&state_dir, &settings.root, None);
    // Not under the bundle's name: neither its seal nor anything else of it is known.
    let bundle = DrilledBundle {
        name: copy.to_owned(),
        path: copy.to_owned(),
        domain: UNKNOWN.to_owned(),
        version: UNKNOWN.to_owned(),
        ..DrilledBundle::default()
    };
    let results =
        Results::begin(DrillReport { level: options.level, bundle, ..DrillReport::default() });
    results.begin_step(Step::Validate);
    results.end_step(Duration::ZERO, Some(failure.to_owned()));
    record.change(|run| run.drill.get_or_insert_default().level = options.level);
    record.begin_stage(Step::Validate.name());
    record.end_stage(Duration::ZERO, status);
    let reports = Reports::open(&settings.deploy, &state_dir);
    let end = End::new(Arc::new(results), Some(Arc::clone(&record)), reports, Deadline::default());
    let result = result_of(status);
    let dir = end.report(result);
    record.end(status);
    let dir = dir?;
    end.print(dir.as_deref(), options.json, result)
}

fn result_of(status: u8) -> DrillResult {
    match exit_of(status) {
        Exit::Damaged => DrillResult::Damaged,
        Exit::Refused => DrillResult::Refused,
        _ if status > 128 => DrillResult::Interrupted,
        _ => DrillResult::Failed,
    }
}

fn exit_of(status: u8) -> Exit {
    let all = [Exit::Usage, Exit::Incomplete, Exit::Damaged, Exit::Refused];
    all.into_iter().find(|exit| exit.code() == status).unwrap_or(Exit::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_that_of_a_drill_with_this_status() {
        for (status, result, exit) in [
            (1, DrillResult::Failed, Exit::Failed),
            (2, DrillResult::Failed, Exit::Usage),
            (4, DrillResult::Damaged, Exit::Damaged),
            (5, DrillResult::Refused, Exit::Refused),
            (127, DrillResult::Failed, Exit::Failed),
            (143, DrillResult::Interrupted, Exit::Failed),
        ] {
            assert_eq!((result_of(status), exit_of(status)), (result, exit), "{status}");
        }
    }
}
