//! Extensions that the server cannot create in the version that they had.

use super::Repair;
use super::extension_versions::with_version;
use crate::load::definition::Definition;
use crate::load::remedy::{self, Alternative};
use crate::server_error::ServerError;
use anyhow::Result;
use pipe_kit::warning;

impl Repair<'_> {
    /// Whether it has created an extension so that could not be created in the version that it had.
    pub(super) fn create_in_default_version(
        &self,
        definition: &Definition,
        failure: &ServerError,
    ) -> Result<bool> {
        let is_versioned = with_version(&definition.text, self.versions);
        // On a full disk, say, it must not become another version.
        if is_versioned.is_none()
            || remedy::is_of_the_moment(failure)
            || self.attempt(definition, &Alternative::AsWritten)?.is_err()
        {
            return Ok(false);
        }
        let what = definition.what();
        warning!(
            "{what} is created in the server's version, not in its own: {}",
            failure.clone().brief()
        );
        Ok(true)
    }
}
