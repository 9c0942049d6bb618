//! What a server stores with an object besides its bytes.

use crate::object::octets::Octets;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Headers and user metadata of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// As the server wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Names in lower case, without `x-amz-meta-`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Values of the headers above that are not UTF-8, by the header's full name in lower case. Such a
    /// header is not among the fields above: a reader that does not know this field reads the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub raw_headers: BTreeMap<String, Octets>,
}

pub type Tags = BTreeMap<String, String>;
