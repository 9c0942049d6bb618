//! The objects go up while the database is loaded, where the bucket is empty: on a new host, or after its loss. There
//! is nothing in it that an application could still need. A bucket that holds anything is not touched before the
//! database is replaced: an object that was deleted on purpose must not come back by a restore that then fails. The step
//! objects makes the bucket equal to the mirror in any case.

use crate::run::Run;
use crate::step::Step;
use crate::storage;
use anyhow::Result;
use pipe_kit::beside::{Beside, Words, without_bar};
use pipe_kit::tool::Tool;

const WORDS: Words = Words {
    what: "the first pass over the objects beside the load",
    otherwise: "the step objects sends them",
};

impl Run {
    /// Begins it, where this run restores the objects too. The journal has it first.
    pub fn begin_first_push(&self) -> Result<Option<Beside>> {
        let Some(tool) = self.first_push_tool()? else { return Ok(None) };
        // A storage that does not answer is the step's to report.
        if !storage::is_empty(&self.settings).unwrap_or(false) {
            return Ok(None);
        }
        self.state.update(|journal| journal.adds_objects = true)?;
        Ok(Beside::begin(&without_bar(tool), WORDS))
    }

    /// It adds objects, and neither replaces nor deletes one.
    pub fn first_push_tool(&self) -> Result<Option<Tool>> {
        let is_restored = self.selection.steps().contains(&Step::Objects);
        match self.bundle.mirror() {
            // Of a damaged bundle, the step finds out what can be sent.
            Some(mirror)
                if is_restored && self.settings.bundled_storage && !self.choices.skip_verify =>
            {
                let tool = self.settings.tool("obj-mirror").arg("--ignore-existing");
                Ok(Some(tool.arg(mirror).arg(self.settings.bucket_url()?)))
            }
            _ => Ok(None),
        }
    }
}
