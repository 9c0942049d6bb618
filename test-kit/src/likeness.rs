//! Whether two databases are the same: by pg_dump, by what lies outside the database, and by nothing
//! that may differ between two loads of one dump.

use crate::postgres::{Postgres, canonical};
use anyhow::{Result, ensure};
use pipe_kit::child;
use std::collections::BTreeMap;
use std::path::Path;

/// What `pg_database`, `pg_db_role_setting` and the comments contain of a database, its name left out.
const STATE: &str = "
    set client_encoding to 'UTF8';
    select pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, coalesce(row->>'datlocprovider', 'c'),
      coalesce(row->>'datlocale', row->>'daticulocale'), row->>'daticurules', datistemplate, datallowconn, datconnlimit,
      (select spcname from pg_tablespace t where t.oid = dattablespace),
      (select string_agg(a::text, ' ' order by a::text) from unnest(datacl) a), datacl is null, shobj_description(oid, 'pg_database'),
      (select string_agg(coalesce(rolname, '-') || setconfig::text, ' ' order by rolname)
         from pg_db_role_setting left join pg_roles r on r.oid = setrole where setdatabase = d.oid)
    from (select to_jsonb(d) as row, * from pg_database d) d where datname = ";

/// What lies outside a database and belongs to it.
///
/// # Errors
/// If the server does not answer, or has no such database.
pub fn state(server: &Postgres, database: &str) -> Result<String> {
    let name = database.replace('\'', "''");
    let state = server.psql("postgres", &format!("{STATE} '{name}'"))?;
    ensure!(!state.is_empty(), "no database {database}");
    Ok(state)
}

/// The text of a database by that pg_dump, the server's own where none is given, which is equal for
/// databases that hold the same.
///
/// # Errors
/// If pg_dump fails.
pub fn content(server: &Postgres, pg_dump: Option<&Path>, database: &str) -> Result<String> {
    let own = server.clients().join("pg_dump");
    let mut command = server.client(&pg_dump.unwrap_or(&own).to_string_lossy());
    let dump = child::capture(command.args(["-d", database]), "pg_dump")?;
    Ok(sorted(&canonical(&dump)?))
}

/// # Errors
/// If the databases differ, with the first lines that do.
pub fn ensure_alike(original: &str, copy: &str, what: &str) -> Result<()> {
    if original == copy {
        return Ok(());
    }
    let (before, after) = (original.lines(), copy.lines());
    let (lengths, mut near) = ((before.clone().count(), after.clone().count()), String::new());
    for (number, (before, after)) in (1..).zip(before.zip(after)) {
        ensure!(before == after, "{what}: line {number}: {before:?} became {after:?}; {near}");
        if before.starts_with("-- Name: ") || before.starts_with("-- Data for Name: ") {
            before.clone_into(&mut near);
        }
    }
    ensure!(lengths.0 == lengths.1, "{what}: of {} lines there are {}", lengths.0, lengths.1);
    Ok(())
}

/// A dump whose COPY blocks have their rows sorted: several sessions write rows in any order. Blocks
/// of one target become one, at the end: rows that go through a partitioned table by the hash of an
/// enum lie in other partitions after every load.
#[must_use]
pub fn sorted(dump: &str) -> String {
    let (mut text, blocks) = parts(dump);
    for (statement, mut rows) in blocks {
        rows.sort_unstable();
        text.extend(["\n", statement, "\n"]);
        rows.iter().for_each(|row| text.extend([row, "\n"]));
    }
    text
}

/// A dump's text, and the rows that its COPY statements are followed by, in their order.
#[must_use]
pub fn parts(dump: &str) -> (String, BTreeMap<&str, Vec<&str>>) {
    let mut text = String::with_capacity(dump.len());
    let mut blocks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut rest = dump;
    while let Some((start, end)) = next_statement(rest) {
        let statement = &rest[start..end];
        let line = rest[end..].find('\n').map_or(rest.len(), |at| end + at + 1);
        if !(statement.starts_with("COPY ") && statement.ends_with(" FROM stdin;")) {
            text.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        text.push_str(&rest[..line]);
        rest = &rest[line..];
        let rows = blocks.entry(statement).or_default();
        while let Some((row, after)) = rest.split_once('\n') {
            rest = after;
            if row == "\\." {
                break;
            }
            rows.push(row);
        }
    }
    text.push_str(rest);
    (text, blocks)
}

/// From its first letter to behind its semicolon.
fn next_statement(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let (mut start, mut at) = (None, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"--") {
            at = find(text, at, "\n")?;
        } else if let Some(end) = quoted(text, at) {
            start = start.or(Some(at));
            at = end;
        } else {
            if !bytes[at].is_ascii_whitespace() {
                start = start.or(Some(at));
            }
            at += 1;
            if bytes[at - 1] == b';' {
                return start.map(|start| (start, at));
            }
        }
    }
    None
}

/// Where the next `needle` from `at` on begins.
fn find(text: &str, at: usize, needle: &str) -> Option<usize> {
    text.as_bytes().get(at)?;
    text[at..].find(needle).map(|found| at + found)
}

/// Where the string, name or dollar quote ends that begins here, if one does.
fn quoted(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let word =
        |at: usize| bytes[at].is_ascii_alphanumeric() || bytes[at] >= 0x80 || bytes[at] == b'_';
    match bytes[at] {
        b'"' => find(text, at + 1, "\"").map(|end| end + 1),
        b'\'' => {
            let escapes = at > 0 && bytes[at - 1] == b'E' && (at == 1 || !word(at - 2));
            let mut end = at + 1;
            while escapes && end < bytes.len() {
                match bytes[end] {
                    b'\\' => end += 2,
                    b'\'' if bytes.get(end + 1) == Some(&b'\'') => end += 2,
                    b'\'' => break,
                    _ => end += 1,
                }
            }
            find(text, end, "'").map(|end| end + 1)
        }
        b'$' if at == 0 || !word(at - 1) => {
            let length = (at + 1..bytes.len()).take_while(|at| word(*at)).count();
            let tag = text.get(at..at + length + 2).filter(|tag| tag.ends_with('$'))?;
            let digit = tag.as_bytes()[1].is_ascii_digit();
            (!digit).then(|| find(text, at + tag.len(), tag).map(|end| end + tag.len()))?
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::sorted;

    #[test]
    fn rows_are_sorted_where_there_are_rows_and_what_looks_like_them_is_left() {
        let dump = "-- it's\nCREATE FUNCTION f() AS $_$\nCOPY t (a) FROM stdin;\n2\n1\n\\.\n$_$;\n\
            COMMENT ON TABLE t IS E'it''s \\';\n\nCOPY t (a) FROM stdin;\nc\na\n\\.\n';\n\
            COPY s.\"t;\nu\" (a, \"FROM stdin;\") FROM stdin;\nb\na\n\\\\.\n\\.\n\n\
            COPY t  FROM stdin;\n\n\n\\.\n\nCOPY t  FROM stdin;\n0\n\\.\n\n-- end\n";
        let wanted = "-- it's\nCREATE FUNCTION f() AS $_$\nCOPY t (a) FROM stdin;\n2\n1\n\\.\n$_$;\n\
            COMMENT ON TABLE t IS E'it''s \\';\n\nCOPY t (a) FROM stdin;\nc\na\n\\.\n';\n\
            COPY s.\"t;\nu\" (a, \"FROM stdin;\") FROM stdin;\n\n\
            COPY t  FROM stdin;\n\nCOPY t  FROM stdin;\n\n-- end\n\n\
            COPY s.\"t;\nu\" (a, \"FROM stdin;\") FROM stdin;\n\\\\.\na\nb\n\n\
            COPY t  FROM stdin;\n\n\n0\n";
        assert_eq!(sorted(dump), wanted);
    }
}
