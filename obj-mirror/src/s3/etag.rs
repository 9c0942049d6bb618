//! ETags.

/// An ETag without quotes and without the mark of a weak one.
pub fn bare(etag: &str) -> String {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_owned()
}

/// Whether an ETag can be the plain MD5 of an object.
pub fn is_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|b| b.is_ascii_hexdigit())
}
