//! What a drill does without, for its report.

use std::collections::BTreeSet;

/// A port that the deployment publishes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// On the host.
    pub published: u16,
    pub service: String,
    /// In the container.
    pub target: u16,
}

/// What was taken away.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Services that do not run, each with the reason: `one-shot`, `asked`, `socket`.
    pub skipped: Vec<(String, &'static str)>,
    /// What of a service was dropped or replaced.
    pub dropped: BTreeSet<(String, String)>,
    pub ports: BTreeSet<Port>,
}

impl Notes {
    pub fn drop_of(&mut self, service: &str, what: impl Into<String>) {
        self.dropped.insert((service.to_owned(), what.into()));
    }

    /// As lines of fields that tabulators separate.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for Port { published, service, target } in &self.ports {
            text += &format!("port\t{published}\t{service}\t{target}\n");
        }
        for (service, reason) in &self.skipped {
            text += &format!("skipped\t{service}\t{reason}\n");
        }
        for (service, what) in &self.dropped {
            text += &format!("dropped\t{service}\t{}\n", pipe_kit::text::one_line(what));
        }
        text
    }
}
