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
    start_servers(settings, &down)?;
    Ok(true)
}

/// Starts stateful services, and asks again where they are: one that was created anew has another address.
pub fn start_servers(settings: &Settings, names: &[String]) -> Result<()> {
    start(settings, names).run()?;
    settings.set_addresses(addresses(settings)?);
    Ok(())
}

/// Where the servers are now. The `.env` may have been replaced since the run began.
fn addresses(settings: &Settings) -> Result<Vec<(String, String)>> {
    const NAMES: [&str; 4] = ["PGHOST", "PGHOSTADDR", "PGPORT", "PIPRIO_RESOLVE"];
    let script = NAMES.map(|name| format!("printf '%s\\n' \"${name}\"")).join("; ");
    let printed = settings.resolved_again().args(["sh", "-c", &script]).capture()?;
    let mut lines = printed.lines();
    let found = NAMES.map(|_| lines.next().unwrap_or_default());
    let [host, resolve] = ["PGHOST", "PIPRIO_RESOLVE"].map(|name| settings.variable(name));
    Ok(addresses_of(found, &host.unwrap_or_default(), &resolve.unwrap_or_default()))
}

/// Of what was found, the addresses of the servers that this run's settings name, and nothing that would lead to
/// another server.
fn addresses_of(found: [&str; 4], own_host: &str, known: &str) -> Vec<(String, String)> {
    let [host, address, port, resolve] = found;
    let mut taken = Vec::new();
    if host == own_host && !address.is_empty() {
        taken.extend([("PGHOSTADDR", address.to_owned()), ("PGPORT", port.to_owned())]);
    }
    // Each entry is for one host and port, and the first one for these counts.
    let mut entries: Vec<&str> = Vec::new();
    for entry in resolve.split_whitespace().chain(known.split_whitespace()) {
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    if !entries.is_empty() {
        taken.push(("PIPRIO_RESOLVE", entries.join(" ")));
    }
    taken.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
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
    #[test]
    fn a_replaced_env_changes_where_a_server_is_and_not_which_it_is() {
        let of = |found, known| {
            let taken = addresses_of(found, "postgres", known);
            taken.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        let moved = "redis:6379:10.0.0.2:6379";
        assert_eq!(
            of(["postgres", "10.0.0.3", "5432", moved], "redis:6379:10.0.0.1:6379"),
            [
                "PGHOSTADDR=10.0.0.3",
                "PGPORT=5432",
                "PIPRIO_RESOLVE=redis:6379:10.0.0.2:6379 redis:6379:10.0.0.1:6379"
            ]
        );
        assert_eq!(
            of(["other", "10.0.0.4", "5433", ""], moved),
            [format!("PIPRIO_RESOLVE={moved}")]
        );
        // Only an address has its own port.
        assert!(of(["postgres", "", "5433", ""], "").is_empty());
    }
}
