//! The sequence itself: the steps in order, what ends it, and what is left.

use crate::bundle::{Bundle, Choice, choose, list};
use crate::deadline::Deadline;
use crate::drill::Drill;
use crate::end::{End, exit_of};
use crate::report::Reports;
use crate::results::Results;
use crate::settings::Settings;
use crate::step::Step;
use crate::workplace::{Drills, Workplace};
use crate::{priority, processes, script, steps};
use anyhow::{Context, Result};
use bundle_format::report::{DrillLevel, DrillReport, DrillResult, DrillVerdict, RunKind};
use pipe_kit::{Exit, Stop, cleanup, info, warning};
use run_events::{Events, Record};
use std::path::PathBuf;
use std::sync::Arc;

/// The options of the command line.
#[derive(Clone, Debug)]
pub struct Options {
    pub choice: Choice,
    pub level: DrillLevel,
    pub only: Option<Step>,
    pub keep: bool,
    pub json: bool,
}

impl Options {
    /// A part of a drill is no evidence of a whole one: it is neither reported nor recorded, and nobody is notified.
    pub fn is_whole(&self) -> bool {
        self.only.is_none_or(|only| only == Step::Report)
    }
}

/// The bundle that the options choose, the bundles of the deployment, and why they could not be listed.
///
/// # Errors
/// [`Stop::refused`] if there is none.
pub fn chosen(
    settings: &Settings,
    choice: &Choice,
) -> Result<(Bundle, bundle_format::report::Listing, Option<String>)> {
    let (listing, failure) = match (list(settings), choice) {
        // Only what it is compared with is in the list.
        (Err(error), Choice::Given(_)) => {
            (bundle_format::report::Listing::default(), Some(format!("{error:#}")))
        }
        (listing, _) => (listing?, None),
    };
    let now = chrono::Utc::now();
    let random = usize::try_from(now.timestamp_subsec_micros()).unwrap_or_default();
    let bundle = Bundle::open(&choose(choice, &listing, now, random)?)?;
    Ok((bundle, listing, failure))
}

/// Drills a bundle.
///
/// # Errors
/// [`Stop::refused`] if the drill cannot begin, [`Stop::damaged`] if the bundle is damaged.
pub fn run(settings: Settings, options: &Options) -> Result<Exit> {
    // Also for what scripts create.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let kind = RunKind::Drill;
    let events = if options.is_whole() { Events::begin(kind) } else { Events::none(kind) };
    let mut drills = None;
    let result = drill(settings, options, &events, &mut drills);
    events.end(&result);
    result
}

/// Drills a bundle. The lock is the caller's to release.
fn drill(
    settings: Settings,
    options: &Options,
    events: &Events,
    drills: &mut Option<Drills>,
) -> Result<Exit> {
    if options.level == DrillLevel::App {
        steps::app::refuse_unless_possible(&settings)?;
    }
    script::refuse_if_others_may_write(&settings.checks_dir())?;
    priority::lower();
    processes::adopt();
    let (deadline, running) = Deadline::start(settings.limit)?;
    let own = deadline.clone();
    events.on_signal(move || own.is_over().then(|| format!("not ended within {}", own.words())));
    let (bundle, listing, unlisted) = chosen(&settings, &options.choice)?;
    let reports = Reports::open(&settings.deploy, &settings.state_dir());
    let history = reports.history()?;
    let drills = drills.insert(Drills::lock(&settings.dir)?);
    let record = options.is_whole().then(|| recorded(&settings, &bundle, options.level, events));
    events.before()?;
    let begun =
        DrillReport { level: options.level, bundle: bundle.described(), ..DrillReport::default() };
    let results = Arc::new(Results::begin(begun));
    let shared = (Arc::clone(&results), record.clone());
    let end = Arc::new(End::new(results, record, reports, deadline));
    // After a signal it comes when nothing of the drill is left, and before the end of the events.
    let on_signal = {
        let end = Arc::clone(&end);
        cleanup::on_failure(move || end.interrupted())
    };
    let workplace = match Workplace::open(drills) {
        Ok(workplace) => workplace,
        Err(error) => {
            on_signal.disarm();
            return Err(error);
        }
    };
    info!("drilling {} in {}", bundle.dir.display(), workplace.dir.display());
    let mut drill = Drill::new(settings, bundle, listing, history, workplace, shared);
    drill.unlisted = unlisted;
    drill.keep.set(options.keep);
    let ended = Sequence { drill: &drill, options }.run();
    drop(running);
    let cleared = clear(drill, options.keep);
    let result = ended.unwrap_or_else(|| end.results().result());
    let reported = end.report(result);
    on_signal.disarm();
    let dir = cleared.and(reported)?;
    end.print(dir.as_deref(), options.json, result)?;
    conclude(result, end.results(), dir)
}

/// The record of a whole drill, which begins.
fn recorded(
    settings: &Settings,
    bundle: &Bundle,
    level: DrillLevel,
    events: &Events,
) -> Arc<Record> {
    let record = events.open(&settings.state_dir(), &settings.root, Some(&bundle.dir));
    record.change(|run| {
        run.bytes = bundle.bytes();
        run.drill.get_or_insert_default().level = level;
    });
    record
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

fn conclude(result: DrillResult, results: &Results, dir: Option<PathBuf>) -> Result<Exit> {
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
    Err(Stop::with_exit(exit_of(result), format!("{words}; {place}")).into())
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
        if let Some(record) = record {
            record.begin_stage(step.name());
        }
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
            (Some(result), _) => exit_of(result).code(),
            (None, DrillVerdict::Finding | DrillVerdict::Failed) => Exit::Failed.code(),
            (None, _) => Exit::Done.code(),
        };
        if let Some(record) = record {
            record.end_stage(took, status);
        }
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
