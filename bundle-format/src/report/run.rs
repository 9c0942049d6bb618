//! The record of a run: `DEPLOY/.restore/last-backup.json` and its like.

use super::drill::{DrillLevel, DrillResult, PreviousDrill};
use crate::manifest::Parsed;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A kind of run that is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// A backup.
    Backup,
    /// A restore.
    Restore,
    /// A drill.
    Drill,
    /// A shipment of bundles to other places.
    Ship,
}

impl RunKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Backup, Self::Restore, Self::Drill, Self::Ship];

    /// The word for it, in names of files, directories and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Drill => "drill",
            Self::Ship => "ship",
        }
    }

    /// The name of its record in the directory of the toolkit's state.
    #[must_use]
    pub fn record_name(self) -> String {
        format!("last-{}.json", self.word())
    }
}

/// The last run of a kind that began. One that was killed has neither an end nor a status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// When it began, to the second.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub ended: Option<DateTime<Utc>>,
    /// The exit status.
    pub status: Option<u8>,
    /// When the last run that ended with status 0 did so, this one included.
    #[serde(default)]
    pub last_success: Option<DateTime<Utc>>,
    /// The directory that holds the bundles.
    pub root: PathBuf,
    /// The bundle: of a backup, once it has its final name.
    pub bundle: Option<PathBuf>,
    /// The stages or steps that have begun, in order.
    pub stages: Vec<StageRecord>,
    /// The sizes of the bundle's components.
    pub bytes: ComponentBytes,
    /// Of a shipment: where it sent bundles to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<DestinationRecord>,
    /// Of a drill: what it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillRecord>,
}

/// A stage or step that has ended, or is running.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Its name.
    pub stage: String,
    /// How long it took.
    pub seconds: Option<f64>,
    /// The exit status that it alone would give the run.
    pub status: Option<u8>,
}

/// The sizes of a bundle's components in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentBytes {
    /// The dump.
    pub database: Option<u64>,
    /// The mirror.
    pub objects: Option<u64>,
    /// The config archive.
    pub config: Option<u64>,
}

/// A destination of a shipment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DestinationRecord {
    /// Its name, without secrets.
    pub destination: String,
    /// The exit status that it alone would give the run; none while it lasts.
    pub status: Option<u8>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// How many bytes were sent.
    pub bytes: Option<u64>,
    /// When a shipment to it last succeeded, this one included.
    #[serde(default)]
    pub last_success: Option<DateTime<Utc>>,
}

/// What a drill came to, so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DrillRecord {
    /// How it ended; none while it lasts, and if it was killed or refused before its first step.
    pub result: Option<DrillResult>,
    /// What was restored.
    pub level: DrillLevel,
    /// The recovery time, once the dump is loaded.
    pub rto_seconds: Option<f64>,
    /// The report's directory, once it is written.
    pub report: Option<PathBuf>,
    /// The newest report that was ever written, as far as this deployment knows: it is there even if the reports are
    /// not.
    #[serde(default)]
    pub newest_report: Option<PreviousDrill>,
}

impl DrillRecord {
    /// That of the next drill, which begins: this one's place is taken by it, at any moment.
    fn next(&self) -> Option<Self> {
        let newest_report = Some(self.newest_report.clone()?);
        Some(Self { newest_report, ..Self::default() })
    }
}

impl RunRecord {
    /// A run that begins, after the last one of its kind.
    #[must_use]
    pub fn begin(started: DateTime<Utc>, root: PathBuf, previous: Option<&Self>) -> Self {
        Self {
            started,
            ended: None,
            status: None,
            last_success: previous.and_then(|previous| previous.last_success),
            root,
            bundle: None,
            stages: Vec::new(),
            bytes: ComponentBytes::default(),
            destinations: Vec::new(),
            drill: previous.and_then(|previous| previous.drill.as_ref()?.next()),
        }
    }

    /// The run ends.
    pub fn end(&mut self, at: DateTime<Utc>, status: u8) {
        self.ended = Some(at);
        self.status = Some(status);
        if status == 0 {
            self.last_success = Some(at);
        }
    }

    /// How long the run took, where it has ended.
    #[must_use]
    pub fn seconds(&self) -> Option<i64> {
        self.ended.map(|ended| (ended - self.started).num_seconds())
    }
}

impl ComponentBytes {
    /// The sizes in a bundle's manifest.
    #[must_use]
    pub fn of_manifest(text: &str) -> Self {
        let Parsed { database, objects, config, .. } = Parsed::read(text);
        Self { database, objects: objects.flatten().map(|extent| extent.bytes), config }
    }

    /// Those of the components that there are, by name.
    pub fn iter(self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = [("database", self.database), ("objects", self.objects), ("config", self.config)];
        all.into_iter().filter_map(|(name, bytes)| Some((name, bytes?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_776_736_800 + second, 0).unwrap()
    }

    #[test]
    fn a_record_has_the_documented_shape_and_that_of_an_older_version_is_read() {
        let mut record = RunRecord::begin(at(0), "/b".into(), None);
        record.stages.push(StageRecord {
            stage: "database".into(),
            seconds: Some(1.5),
            status: Some(0),
        });
        record.bytes.database = Some(7);
        record.end(at(60), 0);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(
            text,
            r#"{"started":"2026-04-21T02:00:00Z","ended":"2026-04-21T02:01:00Z","status":0,"last_success":"2026-04-21T02:01:00Z","root":"/b","bundle":null,"stages":[{"stage":"database","seconds":1.5,"status":0}],"bytes":{"database":7,"objects":null,"config":null}}"#
        );
        let older = text.replace(r#""last_success":"2026-04-21T02:01:00Z","#, "");
        let older: RunRecord = serde_json::from_str(&older).unwrap();
        assert_eq!((older.last_success, older.seconds()), (None, Some(60)));
        assert_eq!(record.bytes.iter().collect::<Vec<_>>(), [("database", 7)]);
        record.drill = Some(DrillRecord {
            result: Some(DrillResult::Finding),
            rto_seconds: Some(41.2),
            report: Some("/d/.drills/drill_x".into()),
            newest_report: Some(PreviousDrill { drill: "drill_x".into(), sha256: "0a".into() }),
            ..DrillRecord::default()
        });
        let text = serde_json::to_string(&record).unwrap();
        let newest = r#","newest_report":{"drill":"drill_x","sha256":"0a"}"#;
        let drill = r#"{"result":"finding","level":"data","rto_seconds":41.2,"report":"/d/.drills/drill_x""#;
        assert!(text.ends_with(&format!(r#","drill":{drill}{newest}}}}}"#)), "{text}");
        assert_eq!(serde_json::from_str::<RunRecord>(&text).unwrap(), record);
        let next = RunRecord::begin(at(90), "/b".into(), Some(&record)).drill.unwrap();
        assert_eq!((next.newest_report, next.result), (record.drill.unwrap().newest_report, None));
        let older: RunRecord = serde_json::from_str(&text.replace(newest, "")).unwrap();
        assert_eq!(RunRecord::begin(at(90), "/b".into(), Some(&older)).drill, None);
    }

    #[test]
    fn sizes_are_those_of_the_manifests_table() {
        let text = "Bundle:    b\n\nComponent                   Bytes  Content\n\
                    database.sql.gz             12345  PostgreSQL dump (plain SQL, gzip)\n\
                    minio/                        678  3 objects\n\
                    config.tar.gz                  90  env file\n";
        let sizes = ComponentBytes { database: Some(12345), objects: Some(678), config: Some(90) };
        assert_eq!(ComponentBytes::of_manifest(text), sizes);
        let external = "Component  Bytes\nminio/            absent (external object storage)\n";
        assert_eq!(ComponentBytes::of_manifest(external), ComponentBytes::default());
    }

    #[test]
    fn the_last_success_outlives_the_failures_after_it() {
        let mut first = RunRecord::begin(at(0), "/b".into(), None);
        first.end(at(60), 0);
        let mut second = RunRecord::begin(at(100), "/b".into(), Some(&first));
        second.end(at(160), 1);
        let third = RunRecord::begin(at(200), "/b".into(), Some(&second));
        assert_eq!(third.last_success, Some(at(60)));
        assert_eq!(RunKind::Ship.record_name(), "last-ship.json");
    }
}
