//! What a statement of a dump makes: a pure decision.

use crate::sql::{Name, Token, TokenCursor, name, tokens};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DumpStatement {
    Schema(String),
    Relation {
        name: Name,
        kind: RelationKind,
        parent: Option<Name>,
        constraints: Vec<DumpConstraint>,
    },
    /// A domain, for its constraints.
    Domain {
        name: Name,
        constraints: Vec<DumpConstraint>,
    },
    /// A table becomes a partition of another.
    Attach {
        parent: Name,
        child: Name,
    },
    /// A constraint of a table or a domain; `index`: whether it has an index of its name; `only`: of that
    /// table, without its partitions.
    Constraint {
        of: Name,
        constraint: DumpConstraint,
        index: bool,
        only: bool,
    },
    /// `only`: of that table, without its partitions.
    Index {
        table: Name,
        name: String,
        only: bool,
    },
    /// An index becomes a part of another.
    AttachIndex {
        parent: Name,
        child: Name,
    },
    /// A materialized view gets its rows.
    Refresh(Name),
    Copy(Name),
    Insert(Name),
    SetValue {
        sequence: Name,
        last: i64,
        called: bool,
    },
    LargeObject,
    /// A setting of the session, and its value if that is one word.
    Setting(String, String),
}

/// What a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RelationKind {
    Table,
    Partitioned,
    Foreign,
    View,
    MaterializedView,
    Sequence,
}

/// A constraint that the dump names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpConstraint {
    pub name: String,
    /// It may not hold for all rows.
    pub not_valid: bool,
    pub not_enforced: bool,
    /// No server before PostgreSQL 18 keeps the name of these.
    pub not_null: bool,
}

/// Reads a statement; `backslashes`: whether a backslash escapes in a plain string.
pub fn parse(sql: &str, backslashes: bool) -> Option<DumpStatement> {
    let first = tokens(sql, 2);
    let [Token::Plain(verb), second @ ..] = first.as_slice() else { return None };
    let interesting = ["CREATE", "ALTER", "COPY", "INSERT", "REFRESH", "SELECT", "SET"];
    if !interesting.iter().any(|word| verb.eq_ignore_ascii_case(word)) {
        return None;
    }
    let whole = (verb.eq_ignore_ascii_case("CREATE") || verb.eq_ignore_ascii_case("ALTER"))
        && !second.iter().any(|word| word.is("FUNCTION") || word.is("OR"));
    let all = tokens(sql, if whole { usize::MAX } else { 32 });
    let mut rest = TokenCursor(&all);
    if rest.skip("SELECT PG_CATALOG") {
        return function(rest, sql, backslashes);
    }
    if rest.skip("SET") {
        return setting(rest, sql);
    }
    if rest.skip("COPY") {
        return rest.name().map(DumpStatement::Copy);
    }
    if rest.skip("INSERT INTO") {
        return rest.name().map(DumpStatement::Insert);
    }
    if rest.skip("REFRESH MATERIALIZED VIEW") {
        return rest.name().map(DumpStatement::Refresh);
    }
    if rest.skip("CREATE") { create(rest) } else { rest.skip("ALTER").then(|| alter(rest))? }
}

fn setting(mut rest: TokenCursor<'_>, sql: &str) -> Option<DumpStatement> {
    let (schema, name) = rest.name()?;
    let value = match rest.0 {
        // The one string that follows.
        [Token::Mark('='), Token::Text, ..] => sql.split('\'').nth(1)?.to_owned(),
        [Token::Mark('='), word, ..] => TokenCursor(std::slice::from_ref(word)).identifier()?,
        _ => return None,
    };
    schema.is_empty().then(|| DumpStatement::Setting(name.to_lowercase(), value))
}

/// `SELECT pg_catalog.…(` as pg_dump writes it.
fn function(rest: TokenCursor<'_>, sql: &str, backslashes: bool) -> Option<DumpStatement> {
    let [Token::Mark('.'), called, Token::Mark('('), ..] = rest.0 else { return None };
    if called.is("LO_CREATE") {
        return Some(DumpStatement::LargeObject);
    }
    if called.is("SET_CONFIG") {
        let mut strings = sql.split('\'');
        let (name, value) = (strings.nth(1)?, strings.nth(1)?);
        return Some(DumpStatement::Setting(name.to_owned(), value.to_owned()));
    }
    called.is("SETVAL").then(|| set_value(sql, backslashes))?
}

/// `SELECT pg_catalog.setval('s.q', 7, true)`
fn set_value(sql: &str, backslashes: bool) -> Option<DumpStatement> {
    let (before, text) = sql.split_once('\'')?;
    let escapes = backslashes || before.ends_with(['E', 'e']);
    let mut quoted = String::new();
    let mut chars = text.char_indices().peekable();
    let end = loop {
        match chars.next()? {
            (_, '\'') if chars.next_if(|(_, next)| *next == '\'').is_some() => quoted.push('\''),
            (at, '\'') => break at,
            (_, '\\') if escapes => quoted.push(chars.next()?.1),
            (_, c) => quoted.push(c),
        }
    };
    let mut values = text[end + 1..].trim_matches([',', ' ', ')', ';']).split(',');
    let last = values.next()?.trim().trim_matches('\'').parse().ok()?;
    let called = values.next().is_none_or(|called| called.trim().starts_with('t'));
    Some(DumpStatement::SetValue { sequence: name(&quoted)?, last, called })
}

fn create(mut rest: TokenCursor<'_>) -> Option<DumpStatement> {
    if rest.skip("SCHEMA") {
        rest.skip("IF NOT EXISTS");
        return rest.identifier().map(DumpStatement::Schema);
    }
    let unique = rest.skip("UNIQUE");
    if rest.skip("INDEX") {
        let name = rest.identifier()?;
        if !rest.skip("ON") {
            return None;
        }
        let only = rest.skip("ONLY");
        return rest.name().map(|table| DumpStatement::Index { table, name, only });
    }
    if unique {
        return None;
    }
    if rest.skip("DOMAIN") {
        let name = rest.name()?;
        return Some(DumpStatement::Domain { name, constraints: constraints(rest.0, 0) });
    }
    if rest.skip("OR REPLACE VIEW") || rest.skip("RECURSIVE VIEW") {
        return relation(rest, RelationKind::View);
    }
    [
        ("UNLOGGED TABLE", RelationKind::Table),
        ("TABLE", RelationKind::Table),
        ("FOREIGN TABLE", RelationKind::Foreign),
        ("VIEW", RelationKind::View),
        ("MATERIALIZED VIEW", RelationKind::MaterializedView),
        ("UNLOGGED SEQUENCE", RelationKind::Sequence),
        ("SEQUENCE", RelationKind::Sequence),
    ]
    .iter()
    .find_map(|(words, kind)| rest.skip(words).then(|| relation(rest, *kind))?)
}

fn relation(mut rest: TokenCursor<'_>, kind: RelationKind) -> Option<DumpStatement> {
    rest.skip("IF NOT EXISTS");
    let name = rest.name()?;
    if !matches!(kind, RelationKind::Table | RelationKind::Foreign) {
        return Some(DumpStatement::Relation { name, kind, parent: None, constraints: Vec::new() });
    }
    let parent = if rest.skip("PARTITION OF") { Some(rest.name()?) } else { None };
    let constraints = constraints(rest.0, 1);
    let parted = kind == RelationKind::Table && rest.find("PARTITION") && rest.skip("BY");
    let kind = if parted { RelationKind::Partitioned } else { kind };
    Some(DumpStatement::Relation { name, kind, parent, constraints })
}

fn alter(mut rest: TokenCursor<'_>) -> Option<DumpStatement> {
    if rest.skip("INDEX") {
        let parent = rest.name()?;
        let attach = rest.skip("ATTACH PARTITION");
        return attach
            .then(|| rest.name().map(|child| DumpStatement::AttachIndex { parent, child }))?;
    }
    if !["TABLE", "FOREIGN TABLE", "DOMAIN"].iter().any(|words| rest.skip(words)) {
        return None;
    }
    let only = rest.skip("ONLY");
    let of = rest.name()?;
    if rest.skip("ATTACH PARTITION") {
        return rest.name().map(|child| DumpStatement::Attach { parent: of, child });
    }
    if !rest.skip("ADD CONSTRAINT") {
        return None;
    }
    let mut kind = rest;
    kind.identifier()?;
    let index = ["PRIMARY KEY", "UNIQUE", "EXCLUDE"].iter().any(|words| kind.skip(words));
    Some(DumpStatement::Constraint { of, constraint: constraint(rest.0)?, index, only })
}

/// The named constraints of a definition, at that depth of parentheses.
fn constraints(words: &[Token], depth: i32) -> Vec<DumpConstraint> {
    let mut found = Vec::new();
    let mut at_depth = 0;
    for (at, word) in words.iter().enumerate() {
        match word {
            Token::Mark('(') => at_depth += 1,
            Token::Mark(')') => at_depth -= 1,
            word if at_depth == depth && word.is("CONSTRAINT") => {
                found.extend(constraint(&words[at + 1..]));
            }
            _ => {}
        }
    }
    found
}

/// Reads a constraint from its name to its end.
fn constraint(words: &[Token]) -> Option<DumpConstraint> {
    let mut rest = TokenCursor(words);
    let name = rest.identifier()?;
    let (mut depth, mut bare) = (0, Vec::new());
    for word in rest.0 {
        match word {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth -= 1,
            Token::Mark(',') if depth == 0 => break,
            word if depth == 0 && word.is("CONSTRAINT") => break,
            word if depth == 0 => bare.push(word),
            _ => {}
        }
        if depth < 0 {
            break;
        }
    }
    let has_not = |second: &str| bare.windows(2).any(|two| two[0].is("NOT") && two[1].is(second));
    Some(DumpConstraint {
        name,
        not_valid: has_not("VALID"),
        not_enforced: has_not("ENFORCED"),
        not_null: has_not("NULL") && bare.first().is_some_and(|word| word.is("NOT")),
    })
}

#[cfg(test)]
mod tests;
