//! The sequence itself: the steps in order, what ends it, and what is left.

use crate::bundle::{Bundle, Choice, choose, list};
use crate::drill::Drill;
use crate::record::Record;
use crate::report::Reports;
use crate::results::Results;
use crate::settings::Settings;
use crate::step::Step;
use crate::workplace::Workplace;
use crate::{priority, script, steps};
use anyhow::{Context, Result};
use bundle_format::report::{DrillLevel, DrillReport, DrillResult, DrillVerdict};
use pipe_kit::mutex::lock;
use pipe_kit::{Exit, Stop, cleanup, info, warning};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// The options of the command line.
#[derive(Clone, Debug)]
pub struct Options {
    pub choice: Choice,
    pub level: DrillLevel,
    pub only: Option<Step>,
    pub keep: bool,
    pub json: bool,
}

/// The bundle that the options choose, and the bundles of the deployment.
///
/// # Errors
/// [`Stop::refused`] if there is none.
pub fn chosen(
    settings: &Settings,
    choice: &Choice,
) -> Result<(Bundle, bundle_format::report::Listing)> {
    let listing = match (list(settings), choice) {
        // Only what it is compared with is in the list.
        (Err(error), Choice::Given(_)) => {
            warning!("{error:#}: the bundle is compared with no other");
            bundle_format::report::Listing::default()
        }
        (listing, _) => listing?,
    };
    let now = chrono::Utc::now();
    let random = usize::try_from(now.timestamp_subsec_micros()).unwrap_or_default();
    let bundle = Bundle::open(&choose(choice, &listing, now, random)?)?;
    Ok((bundle, listing))
}

/// Drills a bundle.
///
/// # Errors
/// [`Stop::refused`] if the drill cannot begin, [`Stop::damaged`] if the bundle is damaged.
pub fn run(settings: Settings, options: &Options) -> Result<Exit> {
    // Also for what scripts create.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    if options.level == DrillLevel::App {
        steps::app::refuse_unless_possible(&settings)?;
    }
    script::refuse_if_others_may_write(&settings.checks_dir())?;
    priority::lower();
    let (bundle, listing) = chosen(&settings, &options.choice)?;
    let reports = Reports::open(&settings.deploy);
    let history = reports.history()?;
    let begun =
        DrillReport { level: options.level, bundle: bundle.described(), ..DrillReport::default() };
    let end = End {
        results: Arc::new(Results::begin(begun)),
        record: Mutex::new(None),
        reports,
        // A part of a drill is no evidence of a whole one.
        is_whole: options.only.is_none_or(|only| only == Step::Report),
        written: Mutex::new(None),
    };
    let end = Arc::new(end);
    // Registered before everything else, so that it comes last: then nothing else is left.
    let on_signal = {
        let end = Arc::clone(&end);
        cleanup::on_failure(move || end.interrupted())
    };
    let workplace = Workplace::open(&settings.dir);
    let workplace = match workplace {
        Ok(workplace) => workplace,
        Err(error) => {
            on_signal.disarm();
            return Err(error);
        }
    };
    let record = end.is_whole.then(|| settings.state_dir().join("last-drill.json"));
    let record = Arc::new(Record::begin(record, &bundle.dir, options.level));
    *lock(&end.record) = Some(Arc::clone(&record));
    info!("drilling {} in {}", bundle.dir.display(), workplace.dir.display());
    let shared = (Arc::clone(&end.results), record);
    let drill = Drill::new(settings, bundle, listing, history, workplace, shared);
    drill.keep.set(options.keep);
    let ended = Sequence { drill: &drill, options }.run();
    let cleared = clear(drill, options.keep);
    let result = ended.unwrap_or_else(|| end.results.result());
    let reported = end.report(result);
    on_signal.disarm();
    let exit = exit_of(result);
    let exit = if cleared.is_err() || reported.is_err() { exit.max_failed() } else { exit };
    end.record(result, exit.0.code());
    let dir = cleared.and(reported)?;
    end.print(dir.as_deref(), options.json, result)?;
    conclude(result, exit.0, &end.results, dir)
}

/// Stops the server and removes everything, or keeps it and prints how to reach it.
fn clear(drill: Drill, keep: bool) -> Result<()> {
    let server = drill.take_server();
    if keep {
        let dir = drill.workplace.dir.display();
        match server {
            Some(server) => {
                let hint = server.connect_hint();
                let mut lines = hint.lines();
                let (connect, remove) =
                    (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
                info!("kept: {dir}; to connect: {connect}");
                info!("to remove it, which holds production's data: {remove}; rm -r {dir}");
                server.keep();
            }
            None => info!("kept: {dir}; to remove it: rm -r {dir}"),
        }
        return drill.workplace.keep();
    }
    let stopped = server.map_or(Ok(()), crate::server::PrivateServer::stop);
    let removed = drill.workplace.remove();
    stopped.and(removed).context("the drill has left something, which the next one removes")
}

/// What a drill comes to in the end, shared with the signal thread.
struct End {
    results: Arc<Results>,
    record: Mutex<Option<Arc<Record>>>,
    reports: Reports,
    is_whole: bool,
    /// The report, and where it was written.
    written: Mutex<Option<(DrillReport, Option<PathBuf>)>>,
}

impl End {
    /// Writes the report, once.
    fn report(&self, result: DrillResult) -> Result<Option<PathBuf>> {
        let mut written = lock(&self.written);
        if let Some((_, dir)) = &*written {
            return Ok(dir.clone());
        }
        let mut report = self.results.ended(result);
        let dir = match self.is_whole {
            true => Some(self.reports.write(&mut report).context("writing the report")?),
            false => None,
        };
        if let (Some(dir), Some(record)) = (&dir, &*lock(&self.record)) {
            record.reported(dir);
        }
        *written = Some((report, dir.clone()));
        Ok(dir)
    }

    fn record(&self, result: DrillResult, status: u8) {
        if let Some(record) = &*lock(&self.record) {
            record.end(result, status);
        }
    }

    /// After a signal: nobody else reports it. A drill that had not begun has no report.
    fn interrupted(&self) {
        if lock(&self.record).is_none() {
            return;
        }
        if let Err(error) = self.report(DrillResult::Interrupted) {
            warning!("{error:#}");
        }
        let signal = cleanup::signal().and_then(|signal| u8::try_from(signal).ok());
        self.record(DrillResult::Interrupted, 128 + signal.unwrap_or_default());
    }

    fn print(&self, dir: Option<&std::path::Path>, json: bool, result: DrillResult) -> Result<()> {
        let written = lock(&self.written);
        let text = match (json, &*written, dir) {
            (true, Some((report, _)), _) => serde_json::to_string(report)? + "\n",
            (false, _, Some(dir)) => format!("{}\n", dir.display()),
            _ => return Ok(()),
        };
        pipe_kit::output::print(&text)
            .with_context(|| format!("the drill's result ({}) was not printed", result.word()))
    }
}

/// An exit status, and what it becomes if the end fails.
#[derive(Clone, Copy)]
struct Ended(Exit);

impl Ended {
    fn max_failed(self) -> Self {
        if self.0 == Exit::Done { Self(Exit::Failed) } else { self }
    }
}

fn exit_of(result: DrillResult) -> Ended {
    Ended(match result {
        DrillResult::Passed => Exit::Done,
        DrillResult::Finding | DrillResult::Failed | DrillResult::Interrupted => Exit::Failed,
        DrillResult::Damaged => Exit::Damaged,
        DrillResult::Refused => Exit::Refused,
    })
}

fn conclude(
    result: DrillResult,
    exit: Exit,
    results: &Results,
    dir: Option<PathBuf>,
) -> Result<Exit> {
    let place = match dir {
        Some(dir) => format!("the report: {}", dir.display()),
        None => "no report is written of a part of a drill".to_owned(),
    };
    let findings = results.count(DrillVerdict::Finding) + results.count(DrillVerdict::Failed);
    let findings = pipe_kit::text::count(findings, "finding");
    let words = match result {
        DrillResult::Passed => {
            info!("passed; {place}");
            return Ok(Exit::Done);
        }
        DrillResult::Finding => format!("{findings}, listed above"),
        DrillResult::Damaged => format!("the bundle is damaged: {findings}, listed above"),
        DrillResult::Refused => "the drill could not begin, for the reason above".to_owned(),
        DrillResult::Failed | DrillResult::Interrupted => {
            "a step or a check could not be carried out, as listed above".to_owned()
        }
    };
    Err(Stop::with_exit(exit, format!("{words}; {place}")).into())
}

/// The steps of a drill.
struct Sequence<'a> {
    drill: &'a Drill,
    options: &'a Options,
}

impl Sequence<'_> {
    /// Takes the steps. A result that no step can change any more is returned.
    fn run(&self) -> Option<DrillResult> {
        let has_keys = self.drill.settings.checks_dir().join(steps::objects::KEYS).is_file();
        let taken = Step::taken(self.options.level, self.options.only, has_keys);
        let mut ended = None;
        for step in taken {
            if let Some(why) = self.why_skipped(step, ended) {
                self.drill.results.skip_step(step, why);
                continue;
            }
            if let Some(result) = self.take(step) {
                ended = Some(result);
            }
        }
        ended
    }

    /// Takes a step; a result, if it decides the drill's.
    fn take(&self, step: Step) -> Option<DrillResult> {
        let Drill { results, record, .. } = self.drill;
        results.begin_step(step);
        record.begin_step(step);
        let (ended, took) = step.heading().time(|| self.run_step(step));
        let failure = ended.as_ref().err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            warning!("{}: {}", step.heading(), results.masked(failure));
        }
        let verdict = results.end_step(took, failure);
        let exit = ended.as_ref().err().map(pipe_kit::status::of);
        let result = match exit {
            Some(Exit::Damaged) => Some(DrillResult::Damaged),
            Some(Exit::Refused) if step == Step::Server => Some(DrillResult::Refused),
            _ => None,
        };
        let status = match (result, verdict) {
            (Some(result), _) => exit_of(result).0.code(),
            (None, DrillVerdict::Finding | DrillVerdict::Failed) => Exit::Failed.code(),
            (None, _) => Exit::Done.code(),
        };
        record.end_step(took, status);
        result
    }

    fn run_step(&self, step: Step) -> Result<()> {
        let drill = self.drill;
        match step {
            Step::Validate => steps::validate::run(drill),
            Step::Server => steps::server::run(drill),
            Step::Load => steps::load::run(drill),
            Step::Compare => steps::compare::run(drill),
            Step::Objects => steps::objects::run(drill),
            Step::Config => steps::config::run(drill),
            Step::Checks => steps::checks::run(drill),
            Step::App => steps::app::run(drill),
            Step::Report => {
                steps::goals::run(drill);
                Ok(())
            }
        }
    }

    /// After damage, or a server that was refused, only the report is left to do.
    fn why_skipped(&self, step: Step, ended: Option<DrillResult>) -> Option<&'static str> {
        let drill = self.drill;
        match step {
            Step::Report => None,
            _ if ended == Some(DrillResult::Refused) => Some("the drill could not begin"),
            _ if ended == Some(DrillResult::Damaged) && !drill.has_server() => {
                Some("the bundle is damaged")
            }
            Step::Validate => None,
            _ if drill.dump().is_err() => Some("the bundle could not be checked"),
            Step::Load if !drill.has_server() => Some("no private server is running"),
            Step::Checks if drill.loaded().is_none() => Some("the database was not loaded"),
            _ => None,
        }
    }
}
