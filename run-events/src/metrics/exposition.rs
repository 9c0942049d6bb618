//! Prometheus's text format: the samples of one metric together, under its help and its type.

use std::fmt::Write;

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    Counter,
}

/// Metrics with their samples, in the order in which they were added first.
pub struct Exposition {
    /// The label that all samples have: several deployments of a host are collected together.
    domain: Option<String>,
    metrics: Vec<Metric>,
}

struct Metric {
    name: String,
    kind: Kind,
    help: String,
    samples: Vec<String>,
}

impl Exposition {
    /// Without metrics.
    pub fn new(domain: Option<&str>) -> Self {
        Self { domain: domain.map(escaped), metrics: Vec::new() }
    }

    /// Adds a sample of `piprio_NAME`.
    pub fn add(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        label: Option<(&str, &str)>,
        value: f64,
    ) {
        let name = format!("piprio_{name}");
        let domain = self.domain.iter().map(|domain| format!("domain=\"{domain}\""));
        let label = label.map(|(key, value)| format!("{key}=\"{}\"", escaped(value)));
        let labels: Vec<String> = domain.chain(label).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let sample = format!("{name}{labels} {value}");
        match self.metrics.iter_mut().find(|metric| metric.name == name) {
            Some(metric) => metric.samples.push(sample),
            None => {
                let help = help.to_owned();
                self.metrics.push(Metric { name, kind, help, samples: vec![sample] });
            }
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        self.metrics.iter().fold(String::new(), |mut text, metric| {
            let kind = match metric.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
            };
            let Metric { name, help, samples, .. } = metric;
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            text + &samples.join("\n") + "\n"
        })
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_metric_stand_together_and_values_are_escaped() {
        let mut out = Exposition::new(Some("a\"b\\c\n"));
        out.add("x", Kind::Gauge, "Help.", Some(("l", "1")), 1.5);
        out.add("y_total", Kind::Counter, "More.", None, 1_776_736_800.0);
        out.add("x", Kind::Gauge, "Help.", Some(("l", "2")), -1.0);
        let domain = r#"domain="a\"b\\c\n""#;
        assert_eq!(
            out.text(),
            format!(
                "# HELP piprio_x Help.\n# TYPE piprio_x gauge\n\
                 piprio_x{{{domain},l=\"1\"}} 1.5\npiprio_x{{{domain},l=\"2\"}} -1\n\
                 # HELP piprio_y_total More.\n# TYPE piprio_y_total counter\n\
                 piprio_y_total{{{domain}}} 1776736800\n"
            )
        );
        let mut plain = Exposition::new(None);
        plain.add("x", Kind::Gauge, "Help.", None, 0.0);
        assert!(plain.text().ends_with("\npiprio_x 0\n"));
    }
}
