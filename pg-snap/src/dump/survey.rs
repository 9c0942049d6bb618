//! Questions to the database itself before it is dumped, in one session.

use super::warnings::{self, Warnings};
use crate::database_state::{CONTENTS, DatabaseContents, Requirements, queries};
use crate::psql::Server;
use anyhow::{Context, Result};

#[derive(Debug, Default)]
pub struct Survey {
    pub contents: DatabaseContents,
    pub warnings: Vec<String>,
    pub requirements: Requirements,
}

impl Survey {
    /// A question that fails is a warning, and does not prevent the dump.
    pub fn run(server: &Server, database: &str) -> Result<Self> {
        let needs = queries().map(|query| warnings::isolated(&query)).concat();
        let script = format!("{CONTENTS}{}{needs}", warnings::script());
        let answer = server.query(database, &script).and_then(|answer| Self::read(&answer));
        answer.or_else(|error| {
            // Where the server no longer answers, it is not the check that has failed.
            let contents = DatabaseContents::from_line(server.query(database, CONTENTS)?.trim())?;
            let words =
                format!("cannot check the catalog for what may cause trouble in a load: {error:#}");
            Ok(Survey { contents, warnings: vec![words], ..Survey::default() })
        })
    }

    fn read(answer: &str) -> Result<Self> {
        let mut lines = answer.lines();
        let contents = lines.next().context("the database's contents are missing")?;
        let contents = DatabaseContents::from_line(contents)?;
        let (mut warnings, mut requirements) = (Warnings::default(), Requirements::default());
        for line in lines.filter(|line| !line.is_empty()) {
            match line.starts_with('{') {
                true => requirements.add_line(line)?,
                false => warnings.add_line(line)?,
            }
        }
        let mut warnings = warnings.into_lines();
        warnings.extend(requirements.warnings());
        Ok(Self { contents, warnings, requirements })
    }
}
