//! The states that `ps` prints.

/// What `ps` prints of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    /// Exited, created, or never created.
    Stopped,
    /// It runs and does not answer, or is on its way.
    Unhealthy,
    /// A one-shot that ended well.
    Done,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Unhealthy => "unhealthy",
            Self::Done => "done",
        }
    }

    /// The state of a service whose containers are in these states. Where they differ, it is unhealthy.
    pub fn of_all(states: impl IntoIterator<Item = Self>) -> Self {
        let both = |a, b| match (a, b) {
            (a, b) if a == b => a,
            (Self::Stopped, Self::Done) | (Self::Done, Self::Stopped) => Self::Stopped,
            _ => Self::Unhealthy,
        };
        states.into_iter().reduce(both).unwrap_or(Self::Stopped)
    }
}
