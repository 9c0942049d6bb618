//! Who is killed: the way a power cut, an out-of-memory killer or an operator does it.

use crate::launched::Launched;
use crate::processes;
use anyhow::Result;
use fastrand::Rng;
use rustix::process::Signal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The script and everything that it started.
    Everything,
    /// The script's own process; what it started runs on.
    Script,
    /// One process below it, at whatever depth.
    Stage,
}

impl Victim {
    pub const ALL: [Self; 3] = [Self::Everything, Self::Script, Self::Stage];

    pub fn kill(self, run: &Launched, rng: &mut Rng) -> Result<()> {
        match self {
            Self::Everything => run.signal_group(Signal::KILL),
            Self::Script => run.signal(Signal::KILL),
            // Between two stages there is none: then it is the script.
            Self::Stage => {
                let id = rng.choice(processes::below(run.id())).map_or(run.id(), |p| p.id);
                processes::signal(id, Signal::KILL)
            }
        }
    }
}
