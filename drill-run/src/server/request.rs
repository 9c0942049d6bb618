//! What a drill needs of its private server.

use std::path::Path;

/// Whose programs serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// Those of this host; without any that serve, those of the deployment's image.
    #[default]
    Any,
    /// Those of the deployment's image alone: they have the extensions that this host's programs may lack.
    Image,
}

/// What a drill needs of its private server.
#[derive(Clone, Copy, Debug)]
pub struct ServerRequest<'a> {
    /// The major release of the dump's server. That one or a newer one serves.
    pub major: u32,
    /// How large the loaded database will be, in bytes.
    pub bytes: u64,
    /// An empty directory of this drill, of mode 0700.
    pub dir: &'a Path,
    /// Whom the server runs as if we are root: `DRILL_USER`.
    pub user: &'a str,
    /// The service driver, for the image.
    pub driver: &'a Path,
    /// The deployment's database service, if it has one.
    pub service: Option<&'a str>,
    /// Whose programs serve.
    pub source: Preference,
    /// Whether the server is to outlive this process: see [`super::PrivateServer::keep`].
    pub keep: bool,
}
