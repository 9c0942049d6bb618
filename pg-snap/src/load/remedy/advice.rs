//! What the operator can do about an error.

/// What the operator can do, by the class of its SQLSTATE.
pub fn advice(sqlstate: Option<&str>, may_be_omitted: bool) -> String {
    let state = sqlstate.unwrap_or_default();
    let advice = match (state, state.get(..2).unwrap_or_default()) {
        ("42501", _) | (_, "28") => "load as a superuser, or grant what pg-snap preflight names",
        ("42710" | "42712" | "42723" | "42P06" | "42P07", _) => {
            "drop or rename what has that name already, and load again"
        }
        ("42P16" | "42P17", _) => "correct the definition in the source database",
        ("55P03", _) => "end the session that holds the lock (pg_locks), and load again",
        (_, "08") => "make the other server reachable, and load again",
        (_, "0A") => "load on a server that has the feature, of the dump's major or newer",
        (_, "21" | "22") => {
            "correct the value in the source database, or load on a server of the dump's major"
        }
        (_, "23") => "correct the rows in the source database",
        (_, "25" | "40" | "57") => "load again",
        (_, "3D" | "3F" | "42") => {
            "install or create what is missing (pg-snap preflight names it), and load again"
        }
        ("54000" | "54011" | "54023", _) => {
            "make the value or definition that the error names smaller in the source database"
        }
        (_, "53" | "54") => {
            "give the server the disk space, memory, connections or limit that the error names, and load again"
        }
        (_, "58" | "F0") => {
            "install the file that the error names on the server's host, and load again"
        }
        (_, "P0") => "in the source database, correct what the function rejects",
        (_, "XX") => "see the server's log, and check the dump with pg-snap inspect --full",
        _ => "see the server's log, and load again",
    };
    let omit = match may_be_omitted {
        true => "; or, to load all rows without such objects: --keep-going",
        false => "",
    };
    format!("{advice}{omit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_errors_has_a_remedy_of_its_own() {
        let classes = [
            "08006", "0A000", "22P02", "23505", "42501", "42P01", "53100", "55P03", "57P01",
            "58P01", "P0001", "XX001", "42P07", "42P17", "54000",
        ];
        let all: std::collections::BTreeSet<String> =
            classes.iter().map(|state| advice(Some(state), false)).collect();
        assert_eq!(all.len(), classes.len());
        assert!(advice(None, true).ends_with("--keep-going"));
    }
}
