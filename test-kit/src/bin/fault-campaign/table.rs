//! What the campaign found: one row a fault.

use std::collections::BTreeMap;
use std::fmt;

/// The tries of one fault.
#[derive(Debug, Default)]
pub struct Row {
    fault: String,
    tries: usize,
    outcomes: BTreeMap<String, usize>,
    losses: usize,
    skipped: Option<String>,
}

impl Row {
    pub fn new(fault: &str) -> Self {
        Self { fault: fault.to_owned(), ..Self::default() }
    }

    /// A try in which every promise held.
    pub fn held(&mut self, outcome: &str) {
        self.tries += 1;
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    /// A try in which one was broken; `is_alarm` if that was the one of what an operator is sent.
    pub fn lost(&mut self, is_alarm: bool) {
        self.tries += 1;
        self.losses += 1;
        if is_alarm {
            *self.outcomes.entry("alarm".to_owned()).or_default() += 1;
        }
    }

    /// This machine cannot show the fault.
    pub fn skip(&mut self, why: &str) {
        self.skipped = Some(why.to_owned());
    }

    fn outcome(&self) -> String {
        let skipped = self.skipped.iter().map(|why| format!("skipped: {why}"));
        let counted = self.outcomes.iter().map(|(what, times)| format!("{what} {times}"));
        counted.chain(skipped).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, tries, losses, .. } = self;
        write!(f, "| {fault} | {tries} | {} | {losses} |", self.outcome())
    }
}

/// All rows, in Markdown, so that a document can carry them as they are.
#[derive(Debug, Default)]
pub struct Table(pub Vec<Row>);

impl Table {
    pub fn losses(&self) -> usize {
        self.0.iter().map(|row| row.losses).sum()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| fault | tries | outcome | losses |")?;
        writeln!(f, "| --- | ---: | --- | ---: |")?;
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        let tries: usize = self.0.iter().map(|row| row.tries).sum();
        writeln!(f, "| all | {tries} | | {} |", self.losses())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_each_outcome_and_a_loss_is_a_try_too() {
        let mut row = Row::new("a bit flipped");
        row.held("refused");
        row.held("refused");
        row.lost(true);
        let mut none = Row::new("a full disk");
        none.skip("no tmpfs");
        let table = Table(vec![row, none]);
        assert_eq!(table.losses(), 1);
        let text = table.to_string();
        assert!(text.contains("| a bit flipped | 3 | alarm 1, refused 2 | 1 |"), "{text}");
        assert!(text.contains("| a full disk | 0 | skipped: no tmpfs | 0 |"), "{text}");
        assert!(text.ends_with("| all | 3 | | 1 |\n"), "{text}");
    }
}
