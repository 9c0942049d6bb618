//! Rows of a table that calls functions when it gets a row, or has types that do. Such a call may fail to
//! find a name, and a COPY that has failed cannot be repeated. So the rows go into a table without checks
//! first, and from there by a statement that can be repeated.

/// What the COPY statements of pg_dump end with.
const COPY_END: &[u8] = b" FROM stdin;";
const STAGE: &[u8] = b"\"pg_snap rows\"";

/// The names in a COPY statement, as it has them: they are in the dump's encoding.
#[derive(Debug, PartialEq, Eq)]
pub struct StagedRows {
    table: Vec<u8>,
    columns: Vec<u8>,
    /// The name of the table for the rows, with the schema of theirs.
    stage: Vec<u8>,
}

impl StagedRows {
    /// Of `COPY s.t (a, b) FROM stdin;`; none if it is anything else.
    pub fn of(copy: &[u8]) -> Option<Self> {
        let names = copy.trim_ascii().strip_prefix(b"COPY ")?.strip_suffix(COPY_END)?;
        let (table, columns) = names.split_at(position(names, b' ')?);
        let schema = position(table, b'.').map_or(0, |at| at + 1);
        let columns = columns.trim_ascii();
        let is_list = columns.starts_with(b"(") && columns.ends_with(b")");
        is_list.then(|| Self {
            table: table.to_vec(),
            columns: columns[1..columns.len() - 1].to_vec(),
            stage: [&table[..schema], STAGE].concat(),
        })
    }

    /// The statements that create the stage.
    pub fn create(&self) -> Vec<u8> {
        let Self { table, columns, stage } = self;
        let create: [&[u8]; 7] = [
            b"CREATE UNLOGGED TABLE ",
            stage,
            b" AS SELECT ",
            columns,
            b" FROM ",
            table,
            b" WITH NO DATA;\n",
        ];
        let code = include_str!("staged_rows/base_types.sql").trim_end();
        let (before, after) = code.split_once("/*stage*/").unwrap_or((code, ""));
        let code = [before.as_bytes(), &quoted(stage), after.as_bytes()].concat();
        [&create.concat(), &b"DO LANGUAGE plpgsql "[..], &quoted(&code), b";\n"].concat()
    }

    /// The statement after which the rows come.
    pub fn copy(&self) -> Vec<u8> {
        [b"COPY ", &self.stage[..], b" FROM stdin;\n"].concat()
    }

    /// The statement that moves the rows to their table.
    pub fn insert(&self) -> Vec<u8> {
        let Self { table, columns, stage } = self;
        let insert: [&[u8]; 7] = [
            b"INSERT INTO ",
            table,
            b" (",
            columns,
            b") OVERRIDING SYSTEM VALUE SELECT * FROM ",
            stage,
            b";\n",
        ];
        insert.concat()
    }

    /// The statements after it.
    pub fn end(&self) -> Vec<u8> {
        // Truncated, it takes no disk space until the commit.
        [b"TRUNCATE TABLE ", &self.stage[..], b";\nDROP TABLE ", &self.stage, b";\n"].concat()
    }
}

/// Where a character comes first outside double quotes.
fn position(text: &[u8], wanted: u8) -> Option<usize> {
    let mut quoted = false;
    text.iter().position(|byte| {
        quoted ^= *byte == b'"';
        !quoted && *byte == wanted
    })
}

/// A string constant.
fn quoted(text: &[u8]) -> Vec<u8> {
    let mut constant = vec![b'\''];
    for byte in text {
        constant.push(*byte);
        if *byte == b'\'' {
            constant.push(b'\'');
        }
    }
    constant.push(b'\'');
    constant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_copy_are_taken_as_they_are() {
        let of = |copy: &[u8]| {
            StagedRows::of(copy).map(|rows| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                (text(&rows.table), text(&rows.columns), text(&rows.stage))
            })
        };
        let names = |table: &str, columns: &str, stage: &str| {
            Some((table.to_owned(), columns.to_owned(), stage.to_owned()))
        };
        assert_eq!(
            of(b"COPY s.t (a, \"b c\") FROM stdin;\n"),
            names("s.t", "a, \"b c\"", "s.\"pg_snap rows\"")
        );
        assert_eq!(
            of(b"COPY \"a.b (c) \"\"\".\"x y\" (a) FROM stdin;\n"),
            names("\"a.b (c) \"\"\".\"x y\"", "a", "\"a.b (c) \"\"\".\"pg_snap rows\"")
        );
        assert_eq!(of(b"COPY t (a) FROM stdin;\n"), names("t", "a", "\"pg_snap rows\""));
        for other in ["COPY s.t  FROM stdin;", "COPY s.t (a) FROM stdin WITH (FORMAT csv);"] {
            assert_eq!(of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_name_stays_a_name_in_constants() {
        assert_eq!(quoted(b"it's"), b"'it''s'");
    }
}
