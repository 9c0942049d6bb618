//! Names inside a bundle, relative to it.

/// Text for people that describes the bundle; see [`crate::manifest`].
pub const MANIFEST: &str = "MANIFEST.txt";
/// The seal, written last; see [`crate::sums`].
pub const SEAL: &str = "SHA256SUMS";
/// The database dump.
pub const DATABASE: &str = "database.sql.gz";
/// The config archive.
pub const CONFIG: &str = "config.tar.gz";
/// The object-storage mirror's directory.
pub const MIRROR: &str = "minio";
/// The mirror's own files, which are not objects.
pub const MIRROR_OWN: &str = "minio/.obj-mirror";
/// The checksums of the mirror's objects.
pub const MIRROR_SUMS: &str = "minio/.obj-mirror/SHA256SUMS";
/// The mirror's index, a line of JSON for each object.
pub const MIRROR_INDEX: &str = "minio/.obj-mirror/index.jsonl";
/// The journal of a mirror in progress.
pub const MIRROR_JOURNAL: &str = "minio/.obj-mirror/journal.jsonl";
