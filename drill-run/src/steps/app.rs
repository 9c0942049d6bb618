//! `app`: the product's own services, in a project of their own.

use crate::app::{self, AppRequest, Plan};
use crate::bundle::Bundle;
use crate::drill::{Drill, Dump, estimated_bytes};
use crate::results::Judged;
use crate::settings::Settings;
use crate::workplace::APP;
use anyhow::Result;
use pipe_kit::Stop;
use std::path::{Path, PathBuf};

/// The name of the only driver whose services can be started a second time, apart from the first.
const COMPOSE: &str = "compose";
/// How long services may take to become ready, in seconds.
const WAIT_SECONDS: u32 = 300;

/// Refuses a deployment whose services cannot be started apart from those that run, and one that leaves out services
/// that it does not have.
///
/// # Errors
/// [`Stop::usage`] with the reason.
pub fn refuse_unless_possible(settings: &Settings) -> Result<()> {
    if is_compose(&settings.driver, &settings.deploy, settings.scripts.as_deref()) {
        return app::refuse_unknown(&settings.skip_services, &settings.driver, &settings.deploy);
    }
    Err(Stop::usage(format!(
        "--level app needs services of Docker Compose: those of {} have one place each (units, ports, data \
         directories), so a second set of them would meet the first; use --level data",
        settings.driver.display()
    ))
    .into())
}

/// Whether it is the toolkit's own driver, which knows how to keep two projects apart.
fn is_compose(driver: &Path, deploy: &Path, scripts: Option<&Path>) -> bool {
    let own = scripts.map(|scripts| scripts.join("drivers"));
    let places = [Some(deploy.join("scripts/drivers")), own];
    places.into_iter().flatten().any(|place| driver == place.join(COMPOSE))
}

/// What a drill of the services works with.
struct App<'a> {
    settings: &'a Settings,
    bundle: &'a Bundle,
    dir: PathBuf,
    project: String,
    scripts: PathBuf,
    bytes: u64,
}

impl<'a> App<'a> {
    /// In the directory of a drill, whose name is the project's.
    fn new(settings: &'a Settings, bundle: &'a Bundle, dump: &Dump, drill: &Path) -> Self {
        let name = drill.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let objects = bundle.described().objects_bytes.unwrap_or_default();
        Self {
            settings,
            bundle,
            dir: drill.join(APP),
            project: format!("piprio-{name}"),
            scripts: settings.checks_dir().join("app"),
            bytes: estimated_bytes(dump).saturating_add(objects),
        }
    }

    fn request(&self, keep: bool) -> AppRequest<'_> {
        let plan = Plan {
            from: &self.settings.deploy,
            bundle: &self.bundle.dir,
            dir: &self.dir,
            project: &self.project,
            data_keys: &self.settings.data_keys,
            skip: &self.settings.skip_services,
            driver: &self.settings.driver,
            bytes: self.bytes,
        };
        AppRequest { plan, scripts: &self.scripts, wait_seconds: WAIT_SECONDS, keep }
    }
}

/// The commands, in order.
pub fn commands(settings: &Settings, bundle: &Bundle, dump: &Dump, drill: &Path) -> Vec<String> {
    app::plan(&App::new(settings, bundle, dump, drill).request(false))
}

/// Starts the services, checks them, and removes them.
///
/// # Errors
/// If they cannot be restored apart, or not be removed again.
pub fn run(drill: &Drill) -> Result<()> {
    drill.workplace.subdirectory(APP)?;
    let app = App::new(&drill.settings, &drill.bundle, drill.dump()?, &drill.workplace.dir);
    for check in app::run(&app.request(drill.keep.get()))? {
        drill.results.add(Judged::new(check.verdict, check.check, check.expected, check.found));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_toolkits_compose_driver_will_do() {
        let deploy = Path::new("/d");
        let is = |driver: &str, scripts: Option<&str>| {
            is_compose(Path::new(driver), deploy, scripts.map(Path::new))
        };
        assert!(is("/d/scripts/drivers/compose", None));
        assert!(is("/t/scripts/drivers/compose", Some("/t/scripts")));
        assert!(!is("/t/scripts/drivers/compose", None));
        for driver in ["/d/scripts/drivers/systemd", "/d/scripts/drivers/process", "/opt/compose"] {
            assert!(!is(driver, Some("/t/scripts")), "{driver}");
        }
    }

    #[test]
    fn services_that_have_one_place_each_are_a_usage_error() {
        let settings = Settings {
            deploy: "/d".into(),
            driver: "/d/scripts/drivers/systemd".into(),
            ..Settings::default()
        };
        let error = refuse_unless_possible(&settings).unwrap_err();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Usage);
    }

    #[test]
    fn a_service_that_is_left_out_must_be_one_of_the_deployment() {
        let dir = tempfile::tempdir().unwrap();
        let drivers = dir.path().join("scripts/drivers");
        std::fs::create_dir_all(&drivers).unwrap();
        let script = "[ \"$*\" = ps ] && [ \"$PIPRIO_DEPLOY\" = '@' ] && printf 'api\\trunning\\nmailer\\tdone\\n'";
        let script = script.replace('@', &dir.path().display().to_string());
        crate::server::tests::write_script(&drivers.join(COMPOSE), &script);
        let refused = |names: &[&str]| {
            let settings = Settings {
                deploy: dir.path().into(),
                driver: drivers.join(COMPOSE),
                skip_services: names.iter().map(|name| (*name).to_owned()).collect(),
                ..Settings::default()
            };
            refuse_unless_possible(&settings).err()
        };
        assert!(refused(&[]).is_none() && refused(&["mailer", "api"]).is_none());
        let error = refused(&["api", "mail", "web"]).unwrap();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Usage);
        let message = "DRILL_SKIP_SERVICES: no service of this deployment is called mail web; they are api mailer";
        assert_eq!(error.to_string(), message);
    }
}
