//! Faults that a test asks the server to show: `PUT /_faults?operation=GetObject&skip=5&do=die`;
//! `DELETE /_faults` ends them.

use anyhow::{Context, Result, bail, ensure};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The answer comes late.
    Slow(Duration),
    /// 503, `SlowDown`.
    Unavailable,
    /// 500, `InternalError`.
    Broken,
    /// The connection is closed without an answer.
    HangUp,
    /// The connection breaks in the middle of an object's body; for other operations, 503.
    Cut,
    /// A byte of an object's or a part's body is another one, on the way in or out.
    Garble,
    /// The process is killed.
    Die,
}

/// When what goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// S3's name of the operation.
    pub operation: String,
    /// How many of them go well first.
    pub skip: u64,
    /// How many go wrong then.
    pub times: u64,
    /// What happens to those.
    pub act: Act,
}

impl Fault {
    /// Every request for an operation goes wrong, from the next on.
    #[must_use]
    pub fn always(operation: &str, act: Act) -> Self {
        Self { operation: operation.to_owned(), skip: 0, times: u64::MAX, act }
    }

    /// The fault that a request's query asks for.
    pub(super) fn parse(query: &str) -> Result<Self> {
        let mut fault = Self::always("", Act::Unavailable);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let number = || value.parse::<u64>().with_context(|| format!("{name}={value}"));
            match &*name {
                "operation" => fault.operation = value.clone().into_owned(),
                "skip" => fault.skip = number()?,
                "times" => fault.times = number()?,
                "slow" => fault.act = Act::Slow(Duration::from_millis(number()?)),
                "do" => {
                    fault.act = match &*value {
                        "fail" => Act::Unavailable,
                        "break" => Act::Broken,
                        "hang-up" => Act::HangUp,
                        "cut" => Act::Cut,
                        "garble" => Act::Garble,
                        "die" => Act::Die,
                        _ => bail!("do={value} is not fail, break, hang-up, cut, garble or die"),
                    }
                }
                _ => bail!("{name} is unknown"),
            }
        }
        ensure!(!fault.operation.is_empty(), "no operation is named");
        Ok(fault)
    }

    fn to_query(&self) -> String {
        let Self { operation, skip, times, act } = self;
        let act = match act {
            Act::Slow(time) => format!("slow={}", time.as_millis()),
            Act::Unavailable => "do=fail".to_owned(),
            Act::Broken => "do=break".to_owned(),
            Act::HangUp => "do=hang-up".to_owned(),
            Act::Cut => "do=cut".to_owned(),
            Act::Garble => "do=garble".to_owned(),
            Act::Die => "do=die".to_owned(),
        };
        format!("operation={operation}&skip={skip}&times={times}&{act}")
    }

    /// Asks the server at `endpoint` for it; faults asked for before remain.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn ask(&self, endpoint: &str) -> Result<()> {
        let url = format!("{endpoint}/_faults?{}", self.to_query());
        ureq::put(url).send_empty().context("asking for a fault").map(drop)
    }
}

/// Asks the server at `endpoint` to do nothing wrong any more.
///
/// # Errors
/// If the server does not answer.
pub fn clear(endpoint: &str) -> Result<()> {
    ureq::delete(format!("{endpoint}/_faults")).call().context("ending faults").map(drop)
}

/// The faults of a server.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What happens to the request that has just come.
    pub(super) fn next(&self, operation: &str) -> Option<Act> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.iter_mut().filter(|f| f.operation == operation).find_map(|fault| {
            if fault.skip > 0 {
                fault.skip -= 1;
                return None;
            }
            fault.times = fault.times.checked_sub(1)?;
            Some(fault.act)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_shows_when_it_is_due_and_as_often_as_asked() {
        let faults = Faults::default();
        let cut = Fault { skip: 1, times: 2, ..Fault::always("GetObject", Act::Cut) };
        faults.add(Fault::parse(&cut.to_query()).unwrap());
        assert_eq!(faults.next("PutObject"), None);
        let shown: Vec<_> = (0..4).map(|_| faults.next("GetObject")).collect();
        assert_eq!(shown, [None, Some(Act::Cut), Some(Act::Cut), None]);
        faults.add(Fault::always("GetObject", Act::Broken));
        faults.clear();
        assert_eq!(faults.next("GetObject"), None);
    }

    #[test]
    fn every_fault_survives_its_query() {
        let slow = Act::Slow(Duration::from_millis(30));
        let acts =
            [slow, Act::Unavailable, Act::Broken, Act::HangUp, Act::Cut, Act::Garble, Act::Die];
        for act in acts {
            let fault = Fault::always("PutObject", act);
            assert_eq!(Fault::parse(&fault.to_query()).unwrap(), fault);
        }
        assert!(Fault::parse("do=fail").is_err());
        assert!(Fault::parse("operation=GetObject&do=nothing").is_err());
    }
}
