//! Questions to the database itself before it is dumped, in one session.

use super::warnings::{self, Warnings};
use crate::database_state::{QUERIES, Requirements};
use crate::psql::Server;
use anyhow::Result;

#[derive(Debug, Default)]
pub struct Survey {
    /// Whether strings are written in which backslashes are doubled.
    pub backslashes_escape: bool,
    pub warnings: Vec<String>,
    pub requirements: Requirements,
}

const STRINGS: &str = "SHOW standard_conforming_strings;\n";

impl Survey {
    /// A question that fails is a warning, and does not prevent the dump.
    pub fn run(server: &Server, database: &str) -> Result<Self> {
        let needs = QUERIES.map(warnings::isolated).concat();
        let script = format!("{STRINGS}{}{needs}", warnings::script());
        let answer = server.query(database, &script).and_then(|answer| Self::read(&answer));
        answer.or_else(|error| {
            let mut survey = Self::read(&server.query(database, STRINGS)?)?;
            survey.warnings.push(format!(
                "cannot check the catalog for what may cause trouble in a load: {error:#}"
            ));
            Ok(survey)
        })
    }

    fn read(answer: &str) -> Result<Self> {
        let mut lines = answer.lines();
        let backslashes_escape = lines.next().is_some_and(|line| line.trim() == "off");
        let (mut warnings, mut requirements) = (Warnings::default(), Requirements::default());
        for line in lines.filter(|line| !line.is_empty()) {
            match line.starts_with('{') {
                true => requirements.add_line(line)?,
                false => warnings.add_line(line)?,
            }
        }
        let mut warnings = warnings.into_lines();
        warnings.extend(requirements.warnings());
        Ok(Self { backslashes_escape, warnings, requirements })
    }
}
