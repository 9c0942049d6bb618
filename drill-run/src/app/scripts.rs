//! What the operator's own checks of the services get: `drill.d/app/*.sh`.

use super::deployment::{Deployment, Plan};
use super::environment;
use crate::script::Variables;
use anyhow::Result;
use std::collections::BTreeMap;
use std::ffi::OsStr;

/// Ports that answer in TLS by custom.
const TLS: [u16; 2] = [443, 8443];

/// Where services answer from this host, by their names: those that the deployment publishes a port of.
///
/// # Errors
/// If the driver does not answer.
pub fn urls(plan: &Plan<'_>, deployment: &Deployment) -> Result<BTreeMap<String, String>> {
    let mut urls = BTreeMap::new();
    for port in deployment.notes.ports.values() {
        if urls.contains_key(&port.service) {
            continue;
        }
        let tool = plan.driver().args(["addr", &port.service, &port.target.to_string()]);
        // One that is down has none: the health check has named it.
        if let Ok(address) = tool.capture() {
            let scheme = if TLS.contains(&port.target) { "https" } else { "http" };
            urls.insert(port.service.clone(), format!("{scheme}://{}", address.trim()));
        }
    }
    Ok(urls)
}

/// The name of the variable with a service's URL.
fn variable(service: &str) -> String {
    let each = service
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    format!("DRILL_URL_{}", each.collect::<String>())
}

/// What a script gets: the drill's environment and the addresses.
pub fn variables(plan: &Plan<'_>, urls: &BTreeMap<String, String>) -> Variables {
    let pairs: Vec<String> = urls.iter().map(|(name, url)| format!("{name}={url}")).collect();
    let deploy = plan.deploy();
    let mut all = environment::of_drill();
    let urls_of_all = pairs.join(" ");
    let own: [(&str, &OsStr); 5] = [
        ("DRILL_URLS", urls_of_all.as_ref()),
        ("DRILL_CONFIG", deploy.as_ref()),
        ("DRILL_BUNDLE", plan.bundle.as_ref()),
        ("PIPRIO_DEPLOY", deploy.as_ref()),
        ("PIPRIO_DRIVER", plan.driver.as_ref()),
    ];
    all.extend(own.map(|(name, value)| (name.into(), value.to_owned())));
    all.extend(urls.iter().map(|(service, url)| (variable(service).into(), url.into())));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_url_has_a_variable_of_its_own() {
        assert_eq!(variable("web"), "DRILL_URL_WEB");
        assert_eq!(variable("doc-api.2"), "DRILL_URL_DOC_API_2");
    }
}
