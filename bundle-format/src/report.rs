//! The reports that one tool prints as JSON and another reads. Each is defined here once, for both: names of
//! fields are the JSON's.

mod bundles;
mod compare;
mod config;
mod database;
mod drill;
mod health;
mod objects;
mod run;
mod services;

pub use bundles::{
    BundleCheck, BundleState, DamagedBundle, Drilled, ListedBundle, Listing, Problem, ShippedTo,
    ShrunkBundle,
};
pub use compare::{CompareDifference, CompareFinding, CompareReport, ComparedKind, Comparison};
pub use config::{PlannedFile, SettingFile, SettingsCheck, ShownSetting};
pub use database::{
    DatabaseBeside, DatabaseStatus, DumpDefinition, DumpReport, DumpTable, LoadPreflight,
    LoadRecord, MissingRole,
};
pub use drill::{
    DRILL_FORMAT, DrillCheck, DrillGoals, DrillLevel, DrillReport, DrillResult, DrillServer,
    DrillStep, DrillVerdict, DrilledBundle, PreviousDrill,
};
pub use health::{HealthReport, ProbeKind, ProbeReport, ProbeVerdict};
pub use objects::{BucketObject, BucketObjects, BucketStatus, MirrorCheck, MirrorProblem};
pub use run::{ComponentBytes, DestinationRecord, DrillRecord, RunKind, RunRecord, StageRecord};
pub use services::ConfiguredService;
