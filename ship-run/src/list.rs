//! `ship-run list`: the copies of every destination.

use crate::cli::List;
use crate::copies::{self, Copy};
use crate::place::Destination;
use crate::recipients::{FOR_OTHERS, Recipients};
use crate::record::Record;
use crate::settings::Settings;
use anyhow::Result;
use pipe_kit::{Exit, Stop, text, warning};
use serde::Serialize;

/// A copy in the report.
#[derive(Debug, Serialize)]
struct Listed {
    destination: String,
    file: String,
    /// Of the sealed file, or of the bundle in a snapshot, in bytes.
    size: Option<u64>,
    domain: Option<String>,
    retain_until: Option<String>,
    /// The bundle held far less than the one before it.
    shrunk: bool,
    /// It is encrypted for others than `SHIP_RECIPIENTS`.
    other_recipients: bool,
    /// Why it is not complete.
    problem: Option<String>,
}

/// Lists the copies.
///
/// # Errors
/// [`Stop::incomplete`] if some destinations could not be listed.
pub fn run(settings: &Settings, args: &List) -> Result<Exit> {
    let mut listed = Vec::new();
    let mut failed = 0;
    let shipped = Record::read(settings.record_file());
    let recipients = settings.recipients.as_ref().and_then(Recipients::digest);
    let recipients = recipients.as_deref();
    for destination in settings.destinations()? {
        match copies::of(destination, &shipped) {
            Ok(copies) => {
                listed.extend(copies.iter().map(|copy| entry(destination, copy, recipients)));
            }
            Err(error) => {
                warning!("{destination} cannot be listed: {error:#}");
                failed += 1;
            }
        }
    }
    let text = match args.json {
        true => serde_json::to_string(&listed)? + "\n",
        false => listed.iter().map(line).collect(),
    };
    pipe_kit::output::print(&text)?;
    match failed {
        0 => Ok(Exit::Done),
        n => Err(Stop::incomplete(format!("{n} destinations could not be listed")).into()),
    }
}

fn entry(destination: &Destination, copy: &Copy, recipients: Option<&str>) -> Listed {
    Listed {
        destination: destination.to_string(),
        file: copy.file.clone(),
        size: copy.size,
        domain: copy.domain().map(str::to_owned),
        retain_until: copy.retain_until().map(|time| time.to_rfc3339()),
        shrunk: copy.is_shrunk(),
        other_recipients: copy.is_for_others(recipients),
        problem: copy.state.problem().map(str::to_owned),
    }
}

fn line(listed: &Listed) -> String {
    let size = listed.size.map_or("-".to_owned(), text::size);
    let mut state = listed.problem.clone().unwrap_or_else(|| "complete".to_owned());
    if listed.shrunk {
        state += "; made while a bundle held far less than the one before it";
    }
    if listed.other_recipients {
        state += "; ";
        state += FOR_OTHERS;
    }
    format!("{}  {}  {size:>10}  {state}\n", listed.destination, listed.file)
}
