//! The messages of `NOTIFY_URL`: JSON that people can read in a chat, and programs.

use crate::mask::Secrets;
use crate::settings::Settings;
use bundle_format::report::{RunKind, RunRecord};
use serde_json::{Value, json};

/// What a message is about.
pub struct Message<'a> {
    pub settings: &'a Settings,
    pub kind: RunKind,
    /// The run, where it has recorded anything.
    pub record: Option<&'a RunRecord>,
    /// What went wrong, or why nothing does any more.
    pub reason: &'a str,
}

impl Message<'_> {
    /// A run has failed. One that was killed has no status.
    pub fn failure(&self, status: Option<u8>, secrets: &Secrets) -> Value {
        let stage = self.stage();
        let at = stage.map(|stage| format!(" in {stage}")).unwrap_or_default();
        let how = status.map(|status| format!(" with status {status}")).unwrap_or_default();
        let text = format!("{} failed{how}{at}: {}", self.kind.word(), self.reason);
        self.with("failure", &text, status, secrets)
    }

    /// A run has succeeded, after one that has not.
    pub fn recovery(&self, secrets: &Secrets) -> Value {
        let text = format!("{} succeeded, {}", self.kind.word(), self.reason);
        self.with("recovery", &text, Some(0), secrets)
    }

    /// The stage that was running, or the first that did not succeed, or the last.
    fn stage(&self) -> Option<&str> {
        let stages = &self.record?.stages;
        let running = stages.last().filter(|last| last.status.is_none());
        let failed = || stages.iter().find(|stage| stage.status != Some(0));
        let stage = running.or_else(failed).or(stages.last())?;
        Some(&stage.stage)
    }

    fn with(&self, event: &str, text: &str, status: Option<u8>, secrets: &Secrets) -> Value {
        let domain = self.settings.domain.as_deref();
        let host = host();
        let text = format!("{}: {text}", domain.unwrap_or(&host));
        let record = self.record;
        json!({
            "event": event,
            "run": self.kind.word(),
            "domain": domain,
            "host": host,
            "text": secrets.mask(&text),
            "status": status,
            "stage": self.stage(),
            "started": record.map(|record| record.started),
            "ended": record.and_then(|record| record.ended),
            "bundle": record.and_then(|record| record.bundle.as_ref()),
        })
    }
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::StageRecord;

    #[test]
    fn a_message_has_the_documented_shape_and_no_secret() {
        let settings = Settings { domain: Some("d.example".into()), ..Settings::default() };
        let started = "2026-04-21T02:00:00Z".parse().unwrap();
        let mut record = RunRecord::begin(started, "/b".into(), None);
        let stage = StageRecord { stage: "database".into(), seconds: None, status: Some(1) };
        record.stages.push(stage);
        let secrets = Secrets::new(["hunter2".to_owned()]);
        let reason = "the password hunter2 is wrong";
        let message =
            Message { settings: &settings, kind: RunKind::Backup, record: Some(&record), reason };
        let mut failure = message.failure(Some(1), &secrets);
        failure["host"] = json!("h");
        assert_eq!(
            failure.to_string(),
            r#"{"bundle":null,"domain":"d.example","ended":null,"event":"failure","host":"h","run":"backup","stage":"database","started":"2026-04-21T02:00:00Z","status":1,"text":"d.example: backup failed with status 1 in database: the password *** is wrong"}"#
        );
        let message = Message { record: None, reason: "after failures", ..message };
        let recovery = message.recovery(&secrets);
        assert_eq!(recovery["text"], "d.example: backup succeeded, after failures");
        assert_eq!((&recovery["event"], &recovery["status"]), (&json!("recovery"), &json!(0)));
    }
    #[test]
    fn the_stage_of_a_failure_is_the_first_that_failed_unless_one_was_running() {
        let settings = Settings::default();
        let started = "2026-04-21T02:00:00Z".parse().unwrap();
        for (statuses, expected) in [
            (&[][..], None),
            (&[Some(0), Some(0)], Some("1")),
            (&[Some(0), Some(1), Some(0), Some(1)], Some("1")),
            (&[Some(0), Some(1), Some(0), None], Some("3")),
        ] {
            let mut record = RunRecord::begin(started, "/b".into(), None);
            let stage = |(at, status): (usize, &Option<u8>)| StageRecord {
                stage: at.to_string(),
                seconds: None,
                status: *status,
            };
            record.stages = statuses.iter().enumerate().map(stage).collect();
            let (kind, record) = (RunKind::Drill, Some(&record));
            let message = Message { settings: &settings, kind, record, reason: "" };
            assert_eq!(message.stage(), expected, "{statuses:?}");
        }
    }
}
