//! The table, in Markdown, so that a document can carry it as it is.

use crate::runs::{Role, Row};

/// A line a row: its median with the span of its runs, what it is of each row in `against` and of
/// the fastest peer, size and memory; below it which peer that is, and what failed.
pub fn render(rows: &[Row], against: &[String]) -> String {
    let best = best_peer(rows);
    let measures: Vec<&Row> =
        against.iter().filter_map(|name| rows.iter().find(|row| row.name == *name)).collect();
    let with_bytes = rows.iter().any(|row| row.bytes.is_some());

    let mut heads = vec![String::new(), "median s".into(), "from … to s".into()];
    heads.extend(measures.iter().map(|row| format!("of {}", code(&row.name))));
    heads.push("of the best peer".into());
    if with_bytes {
        heads.push("MB".into());
    }
    heads.push("memory MB".into());

    let mut sides = vec!["---:".to_owned(); heads.len()];
    sides[0] = "---".into();
    let mut lines = vec![line(&heads), line(&sides)];
    for row in rows {
        let mut cells = vec![code(&row.name), time(row), span(row)];
        cells.extend(measures.iter().map(|measure| ratio(row, Some(measure))));
        cells.push(ratio(row, best));
        if with_bytes {
            cells.push(row.bytes.map_or("–".into(), megabytes));
        }
        cells.push(if row.median().is_some() { megabytes(row.peak) } else { "–".into() });
        lines.push(line(&cells));
    }
    lines.extend(best.map(|row| format!("\nThe best peer: {}.", inline(&row.name))));
    lines.extend(rows.iter().filter_map(failure));
    lines.join("\n") + "\n"
}

fn best_peer(rows: &[Row]) -> Option<&Row> {
    let peers = rows.iter().filter(|row| row.role == Role::Peer);
    let timed = peers.filter_map(|row| Some((row.median()?, row)));
    timed.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, row)| row)
}

fn line(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

fn inline(name: &str) -> String {
    format!("`{name}`")
}

/// In a table, even code must not hold a bare bar.
fn code(name: &str) -> String {
    inline(&name.replace('|', "\\|"))
}

fn time(row: &Row) -> String {
    row.median().map_or("failed".into(), seconds)
}

fn span(row: &Row) -> String {
    let ends = [f64::min as fn(f64, f64) -> f64, f64::max]
        .map(|end| row.seconds.iter().copied().reduce(end).map(seconds));
    match (row.median(), ends) {
        (Some(_), [Some(least), Some(most)]) => format!("{least} … {most}"),
        _ => "–".into(),
    }
}

fn ratio(row: &Row, to: Option<&Row>) -> String {
    match (row.median(), to.and_then(Row::median)) {
        (Some(own), Some(other)) if other > 0.0 => format!("{:.2}", own / other),
        _ => "–".into(),
    }
}

fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2}") } else { format!("{seconds:.1}") }
}

/// In MB of 10^6 bytes.
fn megabytes(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    if tenths < 100 {
        format!("{}.{}", tenths / 10, tenths % 10)
    } else {
        ((bytes + 500_000) / 1_000_000).to_string()
    }
}

fn failure(row: &Row) -> Option<String> {
    let why = row.failures.first()?;
    let (failed, all) = (row.failures.len(), row.failures.len() + row.seconds.len());
    Some(format!("\n{} failed in {failed} of {all} runs: {why}", inline(&row.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, role: Role, seconds: &[f64], bytes: Option<u64>) -> Row {
        Row {
            name: name.into(),
            role,
            seconds: seconds.to_vec(),
            bytes,
            peak: 12_345_678,
            failures: Vec::new(),
        }
    }

    #[test]
    fn every_row_is_held_against_the_measures_and_the_fastest_peer() {
        let rows = [
            row("pg_dump > /dev/null", Role::Bound, &[4.0], None),
            row("pg_dump | gzip", Role::Peer, &[30.25, 28.25, 30.0], Some(304_400_000)),
            row("pg_dump | pigz", Role::Peer, &[20.0], Some(304_600_000)),
            row("pg-snap dump", Role::Ours, &[8.0], Some(9_949_999)),
        ];
        let expected = "\
            |  | median s | from … to s | of `pg_dump > /dev/null` | of the best peer | MB | memory MB |\n\
            | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n\
            | `pg_dump > /dev/null` | 4.00 | 4.00 … 4.00 | 1.00 | 0.20 | – | 12 |\n\
            | `pg_dump \\| gzip` | 30.0 | 28.2 … 30.2 | 7.50 | 1.50 | 304 | 12 |\n\
            | `pg_dump \\| pigz` | 20.0 | 20.0 … 20.0 | 5.00 | 1.00 | 305 | 12 |\n\
            | `pg-snap dump` | 8.00 | 8.00 … 8.00 | 2.00 | 0.40 | 9.9 | 12 |\n\
            \n\
            The best peer: `pg_dump | pigz`.\n";
        assert_eq!(render(&rows, &["pg_dump > /dev/null".into()]), expected);
    }

    #[test]
    fn what_failed_even_once_has_no_time_is_no_best_peer_and_is_reported() {
        let mut failed = row("pg_dump -Fd", Role::Peer, &[1.0], None);
        failed.failures = vec!["out of shared memory".into(), "the same".into()];
        let text =
            render(&[failed, row("ours", Role::Ours, &[2.0], None)], &["pg_dump -Fd".into()]);
        assert!(text.contains("| `pg_dump -Fd` | failed | – | – | – | – |\n"), "{text}");
        assert!(text.contains("| `ours` | 2.00 | 2.00 … 2.00 | – | – | 12 |\n"), "{text}");
        assert!(
            text.ends_with("\n\n`pg_dump -Fd` failed in 2 of 3 runs: out of shared memory\n"),
            "{text}"
        );
    }

    #[test]
    fn a_table_of_nothing_is_its_head() {
        assert_eq!(render(&[], &[]).lines().count(), 2);
    }
}
