//! Questions to the database itself before it is dumped, in one session.

use super::warnings::{self, Warnings};
use crate::database_state::{QUERIES, Requirements};
use crate::psql::Server;
use anyhow::Result;

#[derive(Debug, Default)]
pub struct Survey {
    pub warnings: Vec<String>,
    pub requirements: Requirements,
}

impl Survey {
    /// A question that fails is a warning, and does not prevent the dump.
    pub fn run(server: &Server, database: &str) -> Result<Self> {
        let needs = QUERIES.map(warnings::isolated).concat();
        let script = format!("{}{needs}", warnings::script());
        let answer = server.query(database, &script).and_then(|answer| Self::read(&answer));
        answer.or_else(|error| {
            // Where the server no longer answers, it is not the check that has failed.
            server.query(database, "SELECT 1")?;
            let words =
                format!("cannot check the catalog for what may cause trouble in a load: {error:#}");
            Ok(Survey { warnings: vec![words], ..Survey::default() })
        })
    }

    fn read(answer: &str) -> Result<Self> {
        let lines = answer.lines();
        let (mut warnings, mut requirements) = (Warnings::default(), Requirements::default());
        for line in lines.filter(|line| !line.is_empty()) {
            match line.starts_with('{') {
                true => requirements.add_line(line)?,
                false => warnings.add_line(line)?,
            }
        }
        let mut warnings = warnings.into_lines();
        warnings.extend(requirements.warnings());
        Ok(Self { warnings, requirements })
    }
}
