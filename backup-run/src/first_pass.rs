//! The first pass over the objects, beside the dump. The stage that comes after the dump mirrors them again: what the
//! first pass has brought and what has not changed since costs that stage a listing. So the last listing is later than
//! the snapshot of the database, as if there had been no first pass.

use crate::commands::Commands;
use pipe_kit::beside::{Beside, Words};

const WORDS: Words = Words {
    what: "the first pass over the objects beside the dump",
    otherwise: "the stage objects mirrors them",
};

/// Begins it, if objects are mirrored.
pub fn begin(commands: &Commands) -> Option<Beside> {
    Beside::begin(&commands.first_pass()?, WORDS)
}
