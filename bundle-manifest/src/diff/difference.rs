//! The whole difference; names of fields are the JSON's.

use super::config::Config;
use super::objects::Objects;
use super::tables::Tables;
use serde::Serialize;

/// One of the two bundles.
#[derive(Debug, Serialize)]
pub struct Side {
    pub bundle: String,
    pub domain: Option<String>,
    pub version: Option<String>,
}

/// What changed from one bundle to another.
#[derive(Debug, Serialize)]
pub struct Difference {
    pub before: Side,
    pub after: Side,
    pub database: Tables,
    pub objects: Objects,
    pub config: Config,
}
