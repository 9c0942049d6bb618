//! The deployment's services, through its driver.

use crate::settings::Settings;
use anyhow::{Context, Result};
use pipe_kit::info;
use pipe_kit::tool::Tool;

/// A configured service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    /// `running`, `stopped`, `unhealthy` or `done`.
    pub state: String,
}

fn driver(settings: &Settings, verb: &str) -> Tool {
    settings.tool(&settings.driver).arg(verb)
}

/// The configured services, from the driver's `ps`.
pub fn list(settings: &Settings) -> Result<Vec<Service>> {
    parse(&driver(settings, "ps").capture()?)
}

fn parse(text: &str) -> Result<Vec<Service>> {
    let service = |line: &str| {
        let (name, state) = line.split_once('\t')?;
        let known = ["running", "stopped", "unhealthy", "done"].contains(&state);
        (known && !name.is_empty())
            .then(|| Service { name: name.to_owned(), state: state.to_owned() })
    };
    text.lines()
        .map(|line| service(line).with_context(|| format!("the driver's ps printed '{line}'")))
        .collect()
}

/// The application's services: all but those that stay up.
pub fn application(services: &[Service], stateful: &[String]) -> Vec<String> {
    services.iter().map(|s| s.name.clone()).filter(|name| !stateful.contains(name)).collect()
}

/// The services that stay up, of those that there are.
pub fn staying(services: &[Service], stateful: &[String]) -> Vec<String> {
    let is_one = |name: &&String| services.iter().any(|s| s.name == **name);
    stateful.iter().filter(is_one).cloned().collect()
}

/// Those of the named services that are not stopped. Some that are `done` can be stopped too.
pub fn up(services: &[Service], names: &[String]) -> Vec<String> {
    let up = services.iter().filter(|s| s.state != "stopped" && names.contains(&s.name));
    up.map(|s| s.name.clone()).collect()
}

/// The named services without one-shots that have ended well, as far as the driver reports them: to start these is to
/// run them once more.
pub fn without_done(settings: &Settings, names: &[String]) -> Vec<String> {
    let services = if names.is_empty() { Vec::new() } else { list(settings).unwrap_or_default() };
    let is_done = |name: &String| services.iter().any(|s| s.name == *name && s.state == "done");
    names.iter().filter(|name| !is_done(name)).cloned().collect()
}

/// The services that a restore starts at its end: the stateful ones, and the application's without one-shots
/// that have ended well.
pub fn to_start(services: &[Service], stateful: &[String]) -> (Vec<String>, Vec<String>) {
    let names = services.iter().filter(|s| s.state != "done").map(|s| s.name.clone());
    names.partition(|name| stateful.contains(name))
}

/// Starts the stateful services that are down, as all are on a new host. Returns whether there were any.
pub fn start_stateful(settings: &Settings) -> Result<bool> {
    let down: Vec<String> = list(settings)?
        .into_iter()
        .filter(|s| settings.stateful.contains(&s.name) && s.state == "stopped")
        .map(|s| s.name)
        .collect();
    if down.is_empty() {
        return Ok(false);
    }
    info!("starting the stateful services that are down: {}", down.join(" "));
    start(settings, &down).run()?;
    settings.set_addresses(addresses(settings)?);
    Ok(true)
}

/// The addresses of services that have just been started, and had none when the settings were resolved.
fn addresses(settings: &Settings) -> Result<Vec<(String, String)>> {
    const NAMES: [&str; 3] = ["PGHOSTADDR", "PGPORT", "PIPRIO_RESOLVE"];
    let script = NAMES.map(|name| format!("printf '%s\\n' \"${name}\"")).join("; ");
    let printed = settings.resolved_again().args(["sh", "-c", &script]).capture()?;
    let values = NAMES.iter().zip(printed.lines()).filter(|(_, value)| !value.is_empty());
    Ok(values.map(|(name, value)| ((*name).to_owned(), value.to_owned())).collect())
}

/// `DRIVER stop NAME…`
pub fn stop(settings: &Settings, names: &[String]) -> Tool {
    driver(settings, "stop").args(names)
}

/// `DRIVER start NAME…`
pub fn start(settings: &Settings, names: &[String]) -> Tool {
    driver(settings, "start").args(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_is_all_services_but_those_that_stay_up() {
        let all = parse("api\trunning\nmigrate\tdone\npostgres\trunning\nweb\tstopped\n").unwrap();
        let stateful = ["postgres".to_owned(), "redis".to_owned()];
        let application = application(&all, &stateful);
        assert_eq!(application, ["api", "migrate", "web"]);
        assert_eq!(staying(&all, &stateful), ["postgres"]);
        assert_eq!(up(&all, &application), ["api", "migrate"]);
        let (first, then) = to_start(&all, &stateful);
        assert_eq!((first.join(" "), then.join(" ")), ("postgres".into(), "api web".into()));
        assert!(parse("api running\n").is_err());
        assert!(parse("api\tasleep\n").is_err());
    }
}
