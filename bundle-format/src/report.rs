//! The reports that one tool prints as JSON and another reads. Each is defined here once, for both: names of
//! fields are the JSON's.

mod bundles;
mod config;
mod database;
mod health;
mod objects;
mod run;

pub use bundles::{BundleCheck, BundleState, ListedBundle, Listing, Problem, ShrunkBundle};
pub use config::{PlannedFile, ShownSetting};
pub use database::{
    DatabaseBeside, DatabaseStatus, DumpReport, DumpTable, LoadPreflight, MissingRole,
};
pub use health::{HealthReport, ProbeKind, ProbeReport, ProbeVerdict};
pub use objects::{BucketStatus, MirrorCheck, MirrorProblem};
pub use run::{ComponentBytes, DestinationRecord, RunKind, RunRecord, StageRecord};
