//! `ship-run list`: the copies of every destination.

use crate::cli::List;
use crate::copies::{self, Copy};
use crate::place::Destination;
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
    for destination in settings.destinations()? {
        match copies::of(destination, &shipped) {
            Ok(copies) => listed.extend(copies.iter().map(|copy| entry(destination, copy))),
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

fn entry(destination: &Destination, copy: &Copy) -> Listed {
    Listed {
        destination: destination.to_string(),
        file: copy.file.clone(),
        size: copy.size,
        domain: copy.domain().map(str::to_owned),
        retain_until: copy.retain_until().map(|time| time.to_rfc3339()),
        problem: copy.state.problem().map(str::to_owned),
    }
}

fn line(listed: &Listed) -> String {
    let size = listed.size.map_or("-".to_owned(), text::size);
    let state = listed.problem.as_deref().unwrap_or("complete");
    format!("{}  {}  {size:>10}  {state}\n", listed.destination, listed.file)
}
