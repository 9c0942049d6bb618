//! What an operator knows of the runs of a kind, by what is sent to them: a pure function of what was known before, what
//! was sent, and how the run ended.

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a status, and whether the program of the run had begun by then, as far as its log shows.
    Status(i32, bool),
    /// By SIGKILL, and whether nothing was left to do by then but to report.
    Killed(bool),
}

/// What is still to be reported of a run that was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Left {
    #[default]
    Nothing,
    /// That it failed: it had sent its first ping.
    Failure,
    /// It had not, and may have been killed before it had begun.
    MaybeFailure,
}

/// One kind of run, as the operator knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// How many failures were reported.
    pub failures: u64,
    /// Whether no recovery was reported since the last of them.
    pub is_failing: bool,
    pub left: Left,
}

/// What was sent from the start of a run to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Of each ping what distinguishes it from the others: `start`, `0`, `1`.
    pub pings: Vec<String>,
    /// Of each message `event` and `status`.
    pub messages: Vec<(String, Option<i32>)>,
}

impl Known {
    /// What the operator knows after a run.
    ///
    /// # Errors
    /// Where something else was sent than should have been: what it should have been.
    pub fn after(self, sent: &Sent, end: End) -> Result<Self, String> {
        if let End::Status(1.., false) = end
            && *sent == Sent::default()
        {
            // It did not get as far as its settings.
            return Ok(self);
        }
        let mut messages = sent.messages.iter().map(|(event, status)| (event.as_str(), *status));
        let mut messages = messages.by_ref().peekable();
        let is_late = messages.next_if_eq(&("failure", None)).is_some();
        let known = self.after_the_killed(is_late)?;
        let pings: Vec<&str> = sent.pings.iter().map(String::as_str).collect();
        let known = match end {
            End::Status(status, _) => known.after_its_end(&pings, messages.next(), status)?,
            End::Killed(is_done) => {
                let is_recovered = is_done
                    && known.is_failing
                    && messages.next_if_eq(&("recovery", Some(0))).is_some();
                known.after_its_kill(&pings, is_done, is_recovered)?
            }
        };
        match messages.next() {
            Some(more) => Err(format!("no message {more:?}")),
            None => Ok(known),
        }
    }

    /// This run has reported the one before, or not.
    fn after_the_killed(self, is_reported: bool) -> Result<Self, String> {
        match (self.left, is_reported) {
            (Left::Nothing, true) => Err("no failure of a run that was killed".to_owned()),
            (Left::Failure, false) => {
                Err("first the failure of the run that was killed".to_owned())
            }
            (_, false) => Ok(Self { left: Left::Nothing, ..self }),
            (_, true) => {
                Ok(Self { failures: self.failures + 1, is_failing: true, left: Left::Nothing })
            }
        }
    }

    fn after_its_end(
        self,
        pings: &[&str],
        message: Option<(&str, Option<i32>)>,
        status: i32,
    ) -> Result<Self, String> {
        let expected = ["start".to_owned(), status.to_string()];
        if pings != expected {
            return Err(format!("the pings {expected:?}"));
        }
        let expected = match status {
            0 => self.is_failing.then_some(("recovery", Some(0))),
            _ => Some(("failure", Some(status))),
        };
        if message != expected {
            return Err(format!("the message {expected:?}"));
        }
        let is_failing = status != 0;
        Ok(Self { failures: self.failures + u64::from(is_failing), is_failing, ..self })
    }

    fn after_its_kill(
        self,
        pings: &[&str],
        is_done: bool,
        is_recovered: bool,
    ) -> Result<Self, String> {
        let left = match pings {
            ["start", "0"] | ["start"] | [] if is_done => Left::Nothing,
            ["start"] => Left::Failure,
            [] => Left::MaybeFailure,
            _ => return Err("at most the first ping".to_owned()),
        };
        Ok(Self { left, is_failing: self.is_failing && !is_recovered, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use End::{Killed, Status};

    const FAILURE: &str = "failure";
    const RECOVERY: &str = "recovery";

    fn sent(pings: &[&str], messages: &[(&str, Option<i32>)]) -> Sent {
        Sent {
            pings: pings.iter().map(|ping| (*ping).to_owned()).collect(),
            messages: messages.iter().map(|(event, how)| ((*event).to_owned(), *how)).collect(),
        }
    }

    /// The state after runs one after the other, or the complaint about the last.
    fn after(runs: &[(Sent, End)]) -> Result<Known, String> {
        runs.iter().try_fold(Known::default(), |known, (sent, end)| known.after(sent, *end))
    }

    #[test]
    fn each_failure_is_one_message_and_so_is_the_recovery() {
        let good = (sent(&["start", "0"], &[]), Status(0, true));
        let failed = (sent(&["start", "1"], &[(FAILURE, Some(1))]), Status(1, true));
        let recovery = (sent(&["start", "0"], &[(RECOVERY, Some(0))]), Status(0, true));
        let runs = [&good, &failed, &failed, &recovery, &good].map(Clone::clone);
        assert_eq!(after(&runs), Ok(Known { failures: 2, ..Known::default() }));
        // Missing, or too many.
        for runs in [
            vec![&failed, &good],
            vec![&recovery],
            vec![&failed, &recovery, &recovery],
            vec![&(sent(&["start", "1"], &[]), Status(1, true))],
            vec![&(sent(&["start", "1"], &[(FAILURE, Some(1)); 2]), Status(1, true))],
            vec![&(sent(&["start", "1"], &[(FAILURE, Some(4))]), Status(1, true))],
            vec![&(sent(&["start"], &[(FAILURE, Some(1))]), Status(1, true))],
            vec![&(sent(&["start", "1", "1"], &[(FAILURE, Some(1))]), Status(1, true))],
            vec![&(sent(&["start", "0"], &[]), Status(1, true))],
            vec![&(sent(&[], &[]), Status(1, true))],
            vec![&(sent(&[], &[]), Status(0, false))],
        ] {
            let runs: Vec<_> = runs.into_iter().cloned().collect();
            assert!(after(&runs).is_err(), "{runs:?}");
        }
        let before_its_settings = (sent(&[], &[]), Status(1, false));
        assert_eq!(after(&[before_its_settings]), Ok(Known::default()));
    }

    #[test]
    fn a_killed_run_is_reported_by_the_next_one_unless_it_was_done() {
        let killed = (sent(&["start"], &[]), Killed(false));
        let early = (sent(&[], &[]), Killed(false));
        let done = (sent(&["start"], &[]), Killed(true));
        let good = (sent(&["start", "0"], &[]), Status(0, true));
        let both = [(FAILURE, None), (RECOVERY, Some(0))];
        let reports = (sent(&["start", "0"], &both), Status(0, true));
        let too = [(FAILURE, None), (FAILURE, Some(5))];
        let fails_too = (sent(&["start", "5"], &too), Status(5, true));
        for (runs, failures) in [
            (vec![&killed, &reports, &good], 1),
            (vec![&early, &good], 0),
            (vec![&early, &reports], 1),
            (vec![&done, &good], 0),
        ] {
            let runs: Vec<_> = runs.into_iter().cloned().collect();
            assert_eq!(after(&runs), Ok(Known { failures, ..Known::default() }), "{runs:?}");
        }
        let failing = Known { failures: 2, is_failing: true, left: Left::Nothing };
        assert_eq!(after(&[killed.clone(), fails_too]), Ok(failing));
        for runs in [
            vec![&killed, &good],
            vec![&killed, &reports, &reports],
            vec![&done, &reports],
            vec![&good, &reports],
            vec![&(sent(&["start", "0"], &[]), Killed(false))],
            vec![&(sent(&["start", "137"], &[]), Killed(true))],
            vec![&(sent(&["start"], &[(FAILURE, Some(137))]), Killed(false))],
        ] {
            let runs: Vec<_> = runs.into_iter().cloned().collect();
            assert!(after(&runs).is_err(), "{runs:?}");
        }
    }
}
