//! The reports of drills: `DEPLOY/.drills/drill_YYYYMMDDTHHMMSSZ/report.json`, `report.md` and `report.html`.
//!
//! Each `report.json` names the SHA-256 of the two files beside it and that of the `report.json` before it, and
//! `newest.json` names the last of them, and so does the record of the last drill, in another directory: what is missing
//! or was changed later shows. That is no signature: whoever may write in both can write a whole new chain.

mod chain;
mod chart;
mod facts;
mod markdown;
mod markup;
mod numbers;
mod page;
mod scale;
mod store;
mod tables;
mod timeline;

#[cfg(test)]
mod parsed;
#[cfg(test)]
mod samples;

pub use store::Reports;
