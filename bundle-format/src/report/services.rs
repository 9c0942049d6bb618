//! `compose-driver services`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A service as its configuration has it. Standard output has an array of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredService {
    /// Its name.
    pub name: String,
    /// Its image; none if it has only instructions to build one.
    pub image: Option<String>,
    /// Changes whenever Compose would create its containers again.
    pub hash: String,
    /// Its variables. Values only of names of databases and users: the others may be secrets.
    pub environment: BTreeMap<String, Option<String>>,
}
