//! What the driver prints when it has isolated a deployment.

use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// A port that the deployment publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub service: String,
    /// In the container.
    pub target: u16,
}

/// All of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// By the port on the host.
    pub ports: BTreeMap<u16, Port>,
    /// Services that do not run, each with the reason: `one-shot`, `asked`, `socket`.
    pub skipped: Vec<(String, String)>,
    /// What of a service was dropped.
    pub dropped: Vec<(String, String)>,
}

impl Notes {
    /// Reads the lines.
    ///
    /// # Errors
    /// If one is of no known form.
    pub fn parse(text: &str) -> Result<Self> {
        let mut notes = Self::default();
        for line in text.lines() {
            let wrong = || format!("the driver's isolate printed '{line}'");
            let fields: Vec<&str> = line.splitn(4, '\t').collect();
            match fields.as_slice() {
                ["port", published, service, target] => {
                    let published = published.parse().with_context(wrong)?;
                    let target = target.parse().with_context(wrong)?;
                    notes.ports.insert(published, Port { service: (*service).to_owned(), target });
                }
                ["skipped", service, reason @ ..] => {
                    notes.skipped.push(((*service).to_owned(), reason.join(" ")));
                }
                ["dropped", service, what @ ..] => {
                    notes.dropped.push(((*service).to_owned(), what.join(" ")));
                }
                _ => return Err(anyhow::anyhow!(wrong())),
            }
        }
        Ok(notes)
    }
}

/// Pairs as one line: `api: /data; web: devices`.
pub fn listed(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, text)| format!("{name}: {text}")).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_port_or_something_that_is_not_there() {
        let text = "port\t18080\tweb\t8080\nskipped\tmigrate\tone-shot\ndropped\tapi\t/t: x\n";
        let notes = Notes::parse(text).unwrap();
        let web = Port { service: "web".into(), target: 8080 };
        assert_eq!(notes.ports, [(18080, web)].into());
        assert_eq!(listed(&notes.skipped), "migrate: one-shot");
        assert_eq!(notes.dropped, [("api".to_owned(), "/t: x".to_owned())]);
        assert_eq!(Notes::parse("").unwrap(), Notes::default());
        for wrong in ["port\tx\tweb\t1\n", "port\t1\tweb\n", "else\ta\tb\n", "\n"] {
            assert!(Notes::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
