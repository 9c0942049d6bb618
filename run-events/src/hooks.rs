//! Hooks: programs of the operator that run before and after a run, in order of their names.

use crate::limited;
use crate::settings::Settings;
use anyhow::{Context, Result};
use bundle_format::report::RunKind;
use pipe_kit::trust::refuse_if_others_may_write;
use pipe_kit::{Stop, info, warning};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// When hooks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before the first change.
    Before,
    /// After a run that succeeded.
    After,
    /// After a run that did not.
    Failed,
}

impl When {
    fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Failed => "failed",
        }
    }
}

/// What hooks get to know of the run.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The bundle, where there is one.
    pub bundle: Option<PathBuf>,
    /// The exit status, once there is one.
    pub status: Option<u8>,
}

/// The hooks of a kind of run.
pub struct Hooks<'a> {
    pub settings: &'a Settings,
    pub kind: RunKind,
    /// How long each may take.
    pub limit: Duration,
}

impl Hooks<'_> {
    /// Runs the `before-…` hooks. The first one that fails ends it.
    ///
    /// # Errors
    /// [`Stop::refused`] if a hook fails, or must not be run.
    pub fn before(&self, about: &About) -> Result<()> {
        let refused = |error: anyhow::Error| Stop::refused(format!("{error:#}"));
        for hook in self.find(When::Before).map_err(refused)? {
            self.run(When::Before, &hook, about).map_err(refused)?;
        }
        Ok(())
    }

    /// Runs those of after, or of a failure. One that fails is a warning.
    pub fn after(&self, when: When, about: &About) {
        let hooks = self.find(when).unwrap_or_else(|error| {
            warning!("{error:#}");
            Vec::new()
        });
        for hook in hooks {
            if let Err(error) = self.run(when, &hook, about) {
                warning!("{error:#}");
            }
        }
    }

    fn directory(&self, when: When) -> PathBuf {
        let name = format!("{}-{}.d", when.word(), self.kind.word());
        self.settings.deploy.join("hooks").join(name)
    }

    /// The executable files, in order of their names.
    fn find(&self, when: When) -> Result<Vec<PathBuf>> {
        let dir = self.directory(when);
        let what = || format!("reading the hooks in {}", dir.display());
        let entries = match std::fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(what)?,
        };
        let mut hooks = Vec::new();
        for entry in entries {
            let entry = entry.with_context(what)?;
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if !is_hidden && is_program(&entry.path()) {
                hooks.push(entry.path());
            }
        }
        hooks.sort();
        Ok(hooks)
    }

    fn run(&self, when: When, hook: &Path, about: &About) -> Result<()> {
        for path in [hook, &self.directory(when)] {
            refuse_if_others_may_write(path)?;
        }
        info!("hook {} …", hook.display());
        let mut command = Command::new(hook);
        command.current_dir(&self.settings.deploy).stdin(Stdio::null());
        // Standard output is the runner's own.
        command.stdout(io::stderr().as_fd().try_clone_to_owned()?);
        command.env("PIPRIO_HOOK", when.word()).env("PIPRIO_RUN", self.kind.word());
        let record = self.settings.state_dir().join(self.kind.record_name());
        command.env("PIPRIO_RECORD", record);
        match &about.bundle {
            Some(bundle) => command.env("PIPRIO_BUNDLE", bundle),
            None => command.env_remove("PIPRIO_BUNDLE"),
        };
        match about.status {
            Some(status) => command.env("PIPRIO_STATUS", status.to_string()),
            None => command.env_remove("PIPRIO_STATUS"),
        };
        let ended = limited::run(&mut command, self.limit)?;
        match ended.map(failure) {
            Some(None) => Ok(()),
            Some(Some(how)) => anyhow::bail!("the hook {} {how}", hook.display()),
            None => anyhow::bail!(
                "the hook {} did not end within {} s and was ended (HOOK_TIMEOUT_SECONDS)",
                hook.display(),
                self.limit.as_secs()
            ),
        }
    }
}

fn failure(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("ended with status {code}")),
        (None, Some(signal)) => Some(format!("was killed by signal {signal}")),
        (None, None) => Some("failed".to_owned()),
    }
}

/// Whether it is an executable file. One that cannot be executed was meant to be, most likely.
fn is_program(path: &Path) -> bool {
    match path.metadata() {
        Ok(meta) if !meta.is_file() => false,
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => {
            warning!("{0} is not executable and is not run: chmod +x {0}", path.display());
            false
        }
        Ok(_) => true,
        Err(error) => {
            warning!("{}: {error}; it is not run", path.display());
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipe_kit::{Exit, status};

    struct Deployment {
        dir: tempfile::TempDir,
        settings: Settings,
    }

    impl Deployment {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let settings = Settings { deploy: dir.path().to_owned(), ..Settings::default() };
            Self { dir, settings }
        }

        fn hook(&self, name: &str, script: &str) -> PathBuf {
            let path = self.dir.path().join("hooks").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
            path
        }

        fn hooks(&self) -> Hooks<'_> {
            let limit = Duration::from_secs(60);
            Hooks { settings: &self.settings, kind: RunKind::Backup, limit }
        }

        fn log(&self) -> String {
            std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
        }
    }

    #[test]
    fn hooks_run_in_order_of_their_names_and_know_the_run() {
        let d = Deployment::new();
        let line = r#"echo "${0##*/} $PIPRIO_HOOK $PIPRIO_RUN ${PIPRIO_STATUS-none} ${PIPRIO_BUNDLE-none}" >> log"#;
        d.hook("after-backup.d/20-b", line);
        d.hook("after-backup.d/10-a", &format!("{line}; exit 7"));
        d.hook("after-restore.d/other", line);
        d.hook("after-backup.d/.hidden", line);
        let idle = d.hook("after-backup.d/README", line);
        std::fs::set_permissions(idle, PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::create_dir(d.dir.path().join("hooks/after-backup.d/directory")).unwrap();
        let about = About { bundle: Some("/b".into()), status: Some(0) };
        d.hooks().after(When::After, &about);
        assert_eq!(d.log(), "10-a after backup 0 /b\n20-b after backup 0 /b\n");
        d.hooks().before(&About::default()).unwrap();
    }

    #[test]
    fn a_failing_hook_of_before_refuses_the_run_and_ends_the_others() {
        let d = Deployment::new();
        d.hook("before-backup.d/1", "echo ${PIPRIO_STATUS-none} >> log; exit 3");
        d.hook("before-backup.d/2", "echo second >> log");
        let error = d.hooks().before(&About::default()).unwrap_err();
        assert_eq!(status::of(&error), Exit::Refused);
        assert!(error.to_string().contains("before-backup.d/1 ended with status 3"), "{error}");
        assert_eq!(d.log(), "none\n");
    }

    #[test]
    fn a_hook_that_does_not_end_is_ended() {
        let d = Deployment::new();
        d.hook("before-backup.d/1", "sleep 1000");
        let hooks = Hooks { limit: Duration::from_millis(50), ..d.hooks() };
        let error = hooks.before(&About::default()).unwrap_err();
        assert_eq!(status::of(&error), Exit::Refused);
        assert!(error.to_string().contains("did not end within"), "{error}");
    }

    #[test]
    fn root_runs_no_hook_that_others_may_write() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let d = Deployment::new();
        let hook = d.hook("before-backup.d/1", "echo ran >> log");
        for path in
            [hook.as_path(), hook.parent().unwrap(), hook.parent().unwrap().parent().unwrap()]
        {
            let mode = path.metadata().unwrap().permissions();
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
            let error = d.hooks().before(&About::default()).unwrap_err();
            assert_eq!(status::of(&error), Exit::Refused, "{}", path.display());
            std::fs::set_permissions(path, mode).unwrap();
        }
        assert_eq!(d.log(), "");
        d.hooks().before(&About::default()).unwrap();
        assert_eq!(d.log(), "ran\n");
    }
}
