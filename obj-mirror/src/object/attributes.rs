//! What a server stores with an object beside its bytes.

use crate::object::octets::Octets;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a server says of an object beside its bytes, and is told again when it goes back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// Content-Type
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Content-Encoding
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// Content-Disposition
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// Content-Language
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// Cache-Control
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// Expires, as the server wrote it
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// User metadata, names in lower case and without `x-amz-meta-`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Values of the headers above that are not UTF-8, by the header's whole name in lower case. Such a
    /// header is not among the members above: a reader that does not know this member reads the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub raw_headers: BTreeMap<String, Octets>,
}

/// An object's tags by name.
pub type Tags = BTreeMap<String, String>;
