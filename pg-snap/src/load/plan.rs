//! What is decided about a load before it begins.

use super::search_paths::SearchPaths;
use std::collections::BTreeMap;
use std::num::NonZero;

/// How a dump is loaded.
pub struct LoadPlan<'a> {
    /// An empty database.
    pub database: &'a str,
    /// Sessions that load at the same time.
    pub jobs: NonZero<usize>,
    pub paths: &'a SearchPaths,
    /// Of extensions that are created in another version than the server's default one.
    pub versions: &'a BTreeMap<String, String>,
    /// Whether what is derived from rows may be left out.
    pub keep_going: bool,
    /// Whether the dump records who owns the schema public, so that the load reports what it could not give back.
    pub knows_public_schema: bool,
    /// Whether the database gets the name that it had where it was dumped.
    pub same_name: bool,
}
