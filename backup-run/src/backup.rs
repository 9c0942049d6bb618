//! The sequence itself.

use crate::bundle::{Bundle, remove_partials};
use crate::commands::{Commands, copying};
use crate::first_pass;
use crate::known::KnownSums;
use crate::link_source::link_source;
use crate::root;
use crate::settings::Settings;
use crate::stage::Stage;
use anyhow::{Context, Result};
use bundle_format::layout;
use bundle_format::report::{ComponentBytes, RunKind};
use pipe_kit::lock::{self, Lock};
use pipe_kit::mutex::lock;
use pipe_kit::tool::Tool;
use pipe_kit::{Exit, Stop, cleanup, info, warning};
use run_events::{Events, Record};
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Makes a bundle.
///
/// # Errors
/// [`Stop::refused`] if another run holds a lock or a restore is unfinished; else the error names the stage that
/// failed and the state of the bundle.
pub fn run(settings: &Settings, json: bool) -> Result<Exit> {
    // Also for what scripts in the place of a stage create.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let kind = RunKind::Backup;
    // The restore that started a safety backup notifies of both.
    let events = if settings.safety_backup { Events::none(kind) } else { Events::begin(kind) };
    let mut held = Held::default();
    let result = make(settings, json, &events, &mut held);
    events.end(&result);
    // A copy may take hours, and a restore must not wait for it.
    drop(held.locks);
    let Some(bundle) = held.bundle else { return result };
    // Also if comparing or pruning has failed: the bundle is worth no less.
    let shipped = ship(settings, &bundle);
    match (&result, &shipped) {
        (Err(_), Err(error)) => warning!("{error:#}"),
        (Err(_), Ok(_)) | (Ok(_), _) => {}
    }
    result.and(shipped)
}

/// What a run holds until it has notified of its end.
#[derive(Default)]
struct Held {
    locks: Vec<Lock>,
    /// The path of the bundle, once it is complete.
    bundle: Option<PathBuf>,
}

/// Makes a bundle. The locks are the caller's to release.
fn make(settings: &Settings, json: bool, events: &Events, held: &mut Held) -> Result<Exit> {
    root::refuse_if_unmounted(settings)?;
    let root = make_directories(settings)?;
    held.locks = take_locks(settings, &root)?;
    root::record(settings).unwrap_or_else(|error| warning!("{error:#}"));
    let bundle = Bundle::with_free_name(&root);
    let link = link_source(settings, &bundle);
    let record = events.open(&settings.state_dir(), &root, None);
    let backup = Arc::new(Backup { bundle, record, stage: Mutex::new(None) });
    let failure = Arc::new(Mutex::new(None));
    let unfinished = {
        let (backup, failure) = (Arc::clone(&backup), Arc::clone(&failure));
        cleanup::on_failure(move || backup.end_failed(&mut lock(&failure)))
    };
    let commands = Commands { settings, bundle: &backup.bundle, link };
    match events.before().and_then(|()| backup.run_stages(&commands, json)) {
        Ok(()) => {
            backup.end(Exit::Done.code());
            unfinished.disarm();
        }
        Err(error) => {
            let exit = pipe_kit::status::of(&error);
            *lock(&failure) = Some((exit, format!("{error:#}")));
            // A signal that comes meanwhile waits until this is done.
            drop(unfinished);
        }
    }
    held.bundle = backup.bundle.is_published().then(|| backup.bundle.path.clone());
    let printed = if json { pipe_kit::output::print(&backup.record.json()?) } else { Ok(()) };
    if let Some((exit, error)) = lock(&failure).take() {
        return Err(Stop::with_exit(exit, error).into());
    }
    printed.inspect_err(|_| backup.end(Exit::Failed.code())).with_context(|| {
        format!("{} is complete, but the record was not printed", backup.bundle.path.display())
    })?;
    Ok(Exit::Done)
}

/// Copies the bundle to other places. The bundle is complete, and no failure here denies it.
fn ship(settings: &Settings, bundle: &Path) -> Result<Exit> {
    if let Some(tool) = copying(settings, bundle) {
        tool.run().map_err(|error| {
            let path = bundle.display();
            let message = format!("{path} is complete, but it is not copied everywhere: {error:#}");
            Stop::with_exit(Exit::Failed, message)
        })?;
    }
    Ok(Exit::Done)
}

/// The bundle's root, without links, and the directory of the toolkit's state.
fn make_directories(settings: &Settings) -> Result<PathBuf> {
    for dir in [&settings.root, &settings.state_dir()] {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.with_context(|| format!("creating {}", dir.display()))?;
    }
    let root = settings.root.canonicalize();
    root.with_context(|| format!("opening {}", settings.root.display()))
}

/// The locks of the deployment and of the root, except for those that the restore that started this holds. Whoever
/// locks the root removes what killed runs have left in it.
fn take_locks(settings: &Settings, root: &Path) -> Result<Vec<Lock>> {
    const HOLDER: &str = "another backup or restore";
    let mut locks = Vec::new();
    if !settings.safety_backup {
        locks.push(lock::take_directory(&settings.state_dir(), HOLDER)?);
    }
    let is_locked = settings.locked_root.as_ref().is_some_and(|locked| is_same(locked, root));
    if !is_locked {
        locks.push(lock::take(&root.join(".lock"), HOLDER)?);
    }
    refuse_if_unfinished(settings)?;
    if !is_locked {
        remove_partials(root)?;
    }
    Ok(locks)
}

/// Whether two paths lead to the same directory, by links or by mounts.
fn is_same(one: &Path, other: &Path) -> bool {
    let id = |dir: &Path| dir.metadata().ok().map(|found| (found.dev(), found.ino()));
    id(one).is_some_and(|one| Some(one) == id(other))
}

/// Refuses to back up a deployment that a restore has left half replaced.
pub fn refuse_if_unfinished(settings: &Settings) -> Result<()> {
    let journal = settings.state_dir().join("unfinished.json");
    if settings.safety_backup
        || !journal.try_exists().context("looking for an unfinished restore")?
    {
        return Ok(());
    }
    let scripts = std::env::var_os("PIPRIO_SCRIPTS").map(PathBuf::from);
    let script = scripts.unwrap_or_else(|| settings.deploy.join("scripts")).join("restore.sh");
    let abandon = Tool::new("bash").arg(script).arg("--abandon").to_shell();
    Err(Stop::refused(format!(
        "a restore is unfinished, so the data is neither the old nor the new; no bundle was made; finish the restore \
         (restore.sh BUNDLE --resume) or abandon it: {abandon}"
    ))
    .into())
}

/// A backup that is running.
struct Backup {
    bundle: Bundle,
    record: Arc<Record>,
    /// The last stage that has begun.
    stage: Mutex<Option<Stage>>,
}

impl Backup {
    fn run_stages(&self, commands: &Commands, json: bool) -> Result<()> {
        self.bundle.create()?;
        let mut known = KnownSums::default();
        let mut beside = None;
        for stage in Stage::ALL {
            let heading = stage.heading();
            let tool = match commands.of(stage) {
                Ok(tool) => tool,
                Err(reason) => {
                    info!("{heading}: skipped, {reason}");
                    continue;
                }
            };
            *lock(&self.stage) = Some(stage);
            self.record.begin_stage(stage.name());
            let run = || {
                if stage == Stage::Database {
                    beside = first_pass::begin(commands);
                }
                run_stage(stage, tool, &mut known, json)
            };
            let (ended, took) = heading.time(run);
            let exit = ended.as_ref().map_or_else(pipe_kit::status::of, |()| Exit::Done);
            self.record.end_stage(took, exit.code());
            match ended {
                Ok(()) => {
                    if let Some(first_pass) = beside.take() {
                        first_pass.finish();
                    }
                    self.record_sizes(stage);
                }
                Err(error) if commands.settings.safety_backup && stage == Stage::Alarm => {
                    warning!("{heading}: {error:#}; {}", what_is_left(&self.bundle, Some(stage)));
                }
                // The bundle is complete: no status of this stage may deny it.
                Err(error) if stage > Stage::Publish => {
                    return Err(
                        Stop::with_exit(Exit::Failed, format!("{heading}: {error:#}")).into()
                    );
                }
                Err(error) => return Err(error.context(heading)),
            }
        }
        Ok(())
    }

    fn record_sizes(&self, stage: Stage) {
        if stage == Stage::Manifest {
            let manifest = std::fs::read_to_string(self.bundle.partial.join("MANIFEST.txt"));
            let bytes = ComponentBytes::of_manifest(&manifest.unwrap_or_default());
            self.record.change(|run| run.bytes = bytes);
        }
    }

    /// Cleans up after a failure or a signal, and completes the failure's text. After a signal nobody else
    /// prints it.
    fn end_failed(&self, failure: &mut Option<(Exit, String)>) {
        let state = self.clean_up();
        let signal = cleanup::exit_status();
        let status = match failure {
            Some((exit, error)) => {
                *error = format!("{error}; {state}");
                exit.code()
            }
            None => Exit::Failed.code(),
        };
        match (signal, failure) {
            (Some(_), Some((_, error))) => warning!("{error}"),
            (_, None) => warning!("{state}"),
            (None, Some(_)) => {}
        }
        self.end(signal.unwrap_or(status));
    }

    /// Removes what is not a whole bundle, and describes what is left.
    fn clean_up(&self) -> String {
        let state = what_is_left(&self.bundle, *lock(&self.stage));
        match self.bundle.discard() {
            Ok(()) => state,
            Err(error) => format!("{state}; {error:#}"),
        }
    }

    fn end(&self, status: u8) {
        let made = self.bundle.is_published().then(|| self.bundle.path.clone());
        self.record.change(|run| run.bundle = made);
        self.record.end(status);
    }
}

/// Runs the tool of a stage.
fn run_stage(stage: Stage, tool: Tool, known: &mut KnownSums, json: bool) -> Result<()> {
    match stage {
        Stage::Database => known.run(&tool, layout::DATABASE),
        Stage::Config => known.run(&tool, layout::CONFIG),
        Stage::Seal => known.given_to(tool).run(),
        _ if json => tool.run(),
        _ => tool.run_to_stdout(),
    }
}

/// What a failure in a stage leaves.
fn what_is_left(bundle: &Bundle, stage: Option<Stage>) -> String {
    let path = bundle.path.display();
    match stage {
        _ if !bundle.is_published() => {
            let root = bundle.root.display();
            format!("no bundle was made; earlier bundles in {root} are as they were")
        }
        Some(Stage::Alarm) => format!(
            "{path} is complete, but could not be compared with the bundle before it; older bundles were not pruned"
        ),
        Some(Stage::Prune) => format!("{path} is complete, but pruning older bundles failed"),
        _ => format!("{path} is complete; older bundles were not pruned"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_denies_no_bundle_that_is_there() {
        let root = tempfile::tempdir().unwrap();
        let bundle = Bundle::at(root.path(), chrono::Utc::now());
        bundle.create().unwrap();
        for stage in Stage::ALL.map(Some).into_iter().chain([None]) {
            assert!(what_is_left(&bundle, stage).starts_with("no bundle was made"), "{stage:?}");
        }
        std::fs::rename(&bundle.partial, &bundle.path).unwrap();
        for stage in [Stage::Publish, Stage::Alarm, Stage::Prune] {
            assert!(what_is_left(&bundle, Some(stage)).contains(" is complete"), "{stage:?}");
        }
    }

    #[test]
    fn a_safety_backup_locks_its_root_unless_the_restore_has_locked_it() {
        let dir = tempfile::tempdir().unwrap();
        let [root, other, link] = ["root", "other", "link"].map(|name| dir.path().join(name));
        for made in [&root, &other] {
            std::fs::create_dir(made).unwrap();
        }
        std::os::unix::fs::symlink(&root, &link).unwrap();
        let partial = root.join(".piprio_20260421T020000Z.partial");
        std::fs::create_dir(&partial).unwrap();
        let held = lock::take(&root.join(".lock"), "the restore").unwrap();
        let take = |locked_root: Option<&PathBuf>| {
            let locked_root = locked_root.cloned();
            let settings = Settings { safety_backup: true, locked_root, ..Settings::default() };
            take_locks(&settings, &root)
        };
        for is_held in [&root, &link] {
            assert!(take(Some(is_held)).unwrap().is_empty());
        }
        for is_not in [None, Some(&other), Some(&dir.path().join("absent"))] {
            let error = take(is_not).unwrap_err();
            assert_eq!(pipe_kit::status::of(&error), Exit::Refused, "{is_not:?}");
        }
        assert!(partial.is_dir());
        drop(held);
        assert_eq!(take(Some(&other)).unwrap().len(), 1);
        assert!(!partial.exists());
    }

    #[test]
    fn an_unfinished_restore_refuses_every_backup_but_that_of_a_restore() {
        let deploy = tempfile::tempdir().unwrap();
        let mut settings = Settings { deploy: deploy.path().to_owned(), ..Settings::default() };
        refuse_if_unfinished(&settings).unwrap();
        std::fs::create_dir(settings.state_dir()).unwrap();
        std::fs::write(settings.state_dir().join("unfinished.json"), "{}").unwrap();
        let error = refuse_if_unfinished(&settings).unwrap_err();
        assert_eq!(pipe_kit::status::of(&error), Exit::Refused);
        settings.safety_backup = true;
        refuse_if_unfinished(&settings).unwrap();
    }
}
