//! `--level app`: the product's own services, in a project of their own.

use crate::drill::Drill;
use crate::settings::Settings;
use anyhow::Result;
use pipe_kit::Stop;
use std::path::Path;

/// The name of the only driver whose services can be started a second time, apart from the first.
const COMPOSE: &str = "compose";

/// Refuses a deployment whose services cannot be started apart from those that run.
///
/// # Errors
/// [`Stop::usage`] with the reason.
pub fn refuse_unless_possible(settings: &Settings) -> Result<()> {
    if is_compose(&settings.driver, &settings.deploy, settings.scripts.as_deref()) {
        return Ok(());
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

/// Starts the services, checks them, and removes them.
///
/// # Errors
/// If they do not start, or are not healthy.
pub fn run(drill: &Drill) -> Result<()> {
    Err(Stop::usage(format!(
        "--level app is not available for {} in this version; use --level data",
        drill.settings.driver.display()
    ))
    .into())
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
}
