//! What was measured: a line a run, and the rows that they make up.

use anyhow::{Context, Result, bail};

/// What a row is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// No competitor, but a measure: it leaves nothing that one could restore from.
    Bound,
    /// What others use.
    Peer,
    /// What this project has.
    Ours,
}

/// All runs of one command.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// The command as the table has it.
    pub name: String,
    pub role: Role,
    /// How long each run took that came to its end, in seconds, in the order of the runs.
    pub seconds: Vec<f64>,
    /// What it has written, in bytes, the most of all runs; none where it writes nothing of its own.
    pub bytes: Option<u64>,
    /// Bytes that it and its children held, the most of all runs.
    pub peak: u64,
    /// Why runs failed.
    pub failures: Vec<String>,
}

impl Row {
    /// The median of its runs in seconds; none if one has failed: what sometimes fails is no measure.
    pub fn median(&self) -> Option<f64> {
        if self.failures.is_empty() { median(&self.seconds) } else { None }
    }
}

/// The rows of a table in the order in which they first ran, out of lines of seven fields parted by
/// tabs: table, role, row, seconds, bytes, peak, failure. Fields without a value are empty.
///
/// # Errors
/// If a line is another, with its number.
pub fn rows(text: &str, table: &str) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields.first() == Some(&table) {
            add(&mut rows, &fields).with_context(|| format!("line {}", number + 1))?;
        }
    }
    Ok(rows)
}

fn add(rows: &mut Vec<Row>, fields: &[&str]) -> Result<()> {
    let &[_, role, name, seconds, bytes, peak, failure] = fields else {
        bail!("{} fields instead of 7", fields.len());
    };
    let at = match rows.iter().position(|row| row.name == name) {
        Some(at) => at,
        None => {
            rows.push(Row {
                name: name.to_owned(),
                role: role_of(role)?,
                seconds: Vec::new(),
                bytes: None,
                peak: 0,
                failures: Vec::new(),
            });
            rows.len() - 1
        }
    };
    let row = rows.get_mut(at).context("a row")?;
    if failure.is_empty() {
        row.seconds.push(seconds.parse().context("seconds")?);
        row.peak = row.peak.max(peak.parse().context("peak")?);
        if !bytes.is_empty() {
            row.bytes = row.bytes.max(Some(bytes.parse().context("bytes")?));
        }
    } else {
        row.failures.push(failure.to_owned());
    }
    Ok(())
}

fn role_of(word: &str) -> Result<Role> {
    Ok(match word {
        "bound" => Role::Bound,
        "peer" => Role::Peer,
        "ours" => Role::Ours,
        _ => bail!("'{word}' is no role"),
    })
}

fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two() {
        for (numbers, expected) in [
            (&[][..], None),
            (&[3.0], Some(3.0)),
            (&[9.0, 1.0], Some(5.0)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
            (&[4.0, 9.0, 1.0, 2.0], Some(3.0)),
        ] {
            assert_eq!(median(numbers), expected, "{numbers:?}");
        }
    }

    #[test]
    fn rows_of_one_table_gather_their_runs_in_the_order_of_the_first() {
        let text = "dump\tbound\tb\t1.5\t\t10\t\n\
                    dump\tours\ta\t2\t300\t10\t\n\
                    load\tpeer\tb\t7\t\t1\t\n\
                    dump\tbound\tb\t2.5\t\t8\t\n\
                    dump\tours\ta\t\t\t\tno room\n";
        let rows = rows(text, "dump").unwrap();
        let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!((rows[0].median(), rows[0].peak, rows[0].bytes), (Some(2.0), 10, None));
        assert_eq!((rows[1].median(), rows[1].bytes), (None, Some(300)));
        assert_eq!(rows[1].failures, ["no room"]);
    }

    #[test]
    fn a_line_that_is_no_run_is_reported_by_its_number() {
        for (line, why) in [
            ("t\tours\ta\t1", "line 2: 4 fields instead of 7"),
            ("t\tfoe\ta\t1\t\t1\t", "line 2: 'foe' is no role"),
            ("t\tours\ta\tsoon\t\t1\t", "line 2: seconds"),
        ] {
            let error = rows(&format!("other\n{line}\n"), "t").unwrap_err();
            assert!(format!("{error:#}").starts_with(why), "{error:#}");
        }
    }
}
