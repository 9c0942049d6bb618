//! What a statement of a dump says that the database has: a pure decision.

use crate::sql::{Name, Token, TokenCursor, name, tokens};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    Schema(String),
    Relation {
        name: Name,
        kind: Kind,
        parent: Option<Name>,
        constraints: Vec<Constraint>,
    },
    /// A domain, for its constraints.
    Domain {
        name: Name,
        constraints: Vec<Constraint>,
    },
    /// A table becomes a partition of another.
    Attach {
        parent: Name,
        child: Name,
    },
    /// A constraint of a table or a domain; `index`: whether an index of its name comes with it, and
    /// of that table alone, without its partitions.
    Constraint {
        of: Name,
        constraint: Constraint,
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
    /// A setting of the session, and what it is set to, as far as that is a word.
    Setting(String, String),
}

/// What a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Table,
    Partitioned,
    Foreign,
    View,
    MaterializedView,
    Sequence,
}

/// A constraint that the dump names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    pub name: String,
    /// It may not hold for all rows.
    pub not_valid: bool,
    pub not_enforced: bool,
    /// No server before PostgreSQL 18 keeps the name of these.
    pub not_null: bool,
}

/// Looks at a statement; `backslashes`: whether a backslash escapes in a plain string.
pub fn read(sql: &str, backslashes: bool) -> Option<Statement> {
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
        return rest.name().map(Statement::Copy);
    }
    if rest.skip("INSERT INTO") {
        return rest.name().map(Statement::Insert);
    }
    if rest.skip("REFRESH MATERIALIZED VIEW") {
        return rest.name().map(Statement::Refresh);
    }
    if rest.skip("CREATE") { create(rest) } else { rest.skip("ALTER").then(|| alter(rest))? }
}

fn setting(mut rest: TokenCursor<'_>, sql: &str) -> Option<Statement> {
    let (schema, name) = rest.name()?;
    let value = match rest.0 {
        // The one string that follows.
        [Token::Mark('='), Token::Text, ..] => sql.split('\'').nth(1)?.to_owned(),
        [Token::Mark('='), word, ..] => TokenCursor(std::slice::from_ref(word)).identifier()?,
        _ => return None,
    };
    schema.is_empty().then(|| Statement::Setting(name.to_lowercase(), value))
}

/// `SELECT pg_catalog.…(` as pg_dump writes it.
fn function(rest: TokenCursor<'_>, sql: &str, backslashes: bool) -> Option<Statement> {
    let [Token::Mark('.'), called, Token::Mark('('), ..] = rest.0 else { return None };
    if called.is("LO_CREATE") {
        return Some(Statement::LargeObject);
    }
    if called.is("SET_CONFIG") {
        let mut strings = sql.split('\'');
        let (name, value) = (strings.nth(1)?, strings.nth(1)?);
        return Some(Statement::Setting(name.to_owned(), value.to_owned()));
    }
    called.is("SETVAL").then(|| set_value(sql, backslashes))?
}

/// `SELECT pg_catalog.setval('s.q', 7, true)`
fn set_value(sql: &str, backslashes: bool) -> Option<Statement> {
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
    Some(Statement::SetValue { sequence: name(&quoted)?, last, called })
}

fn create(mut rest: TokenCursor<'_>) -> Option<Statement> {
    if rest.skip("SCHEMA") {
        rest.skip("IF NOT EXISTS");
        return rest.identifier().map(Statement::Schema);
    }
    let unique = rest.skip("UNIQUE");
    if rest.skip("INDEX") {
        let name = rest.identifier()?;
        if !rest.skip("ON") {
            return None;
        }
        let only = rest.skip("ONLY");
        return rest.name().map(|table| Statement::Index { table, name, only });
    }
    if unique {
        return None;
    }
    if rest.skip("DOMAIN") {
        let name = rest.name()?;
        return Some(Statement::Domain { name, constraints: constraints(rest.0, 0) });
    }
    if rest.skip("OR REPLACE VIEW") || rest.skip("RECURSIVE VIEW") {
        return relation(rest, Kind::View);
    }
    [
        ("UNLOGGED TABLE", Kind::Table),
        ("TABLE", Kind::Table),
        ("FOREIGN TABLE", Kind::Foreign),
        ("VIEW", Kind::View),
        ("MATERIALIZED VIEW", Kind::MaterializedView),
        ("UNLOGGED SEQUENCE", Kind::Sequence),
        ("SEQUENCE", Kind::Sequence),
    ]
    .iter()
    .find_map(|(words, kind)| rest.skip(words).then(|| relation(rest, *kind))?)
}

fn relation(mut rest: TokenCursor<'_>, kind: Kind) -> Option<Statement> {
    rest.skip("IF NOT EXISTS");
    let name = rest.name()?;
    if !matches!(kind, Kind::Table | Kind::Foreign) {
        return Some(Statement::Relation { name, kind, parent: None, constraints: Vec::new() });
    }
    let parent = if rest.skip("PARTITION OF") { Some(rest.name()?) } else { None };
    let constraints = constraints(rest.0, 1);
    let parted = kind == Kind::Table && rest.find("PARTITION") && rest.skip("BY");
    let kind = if parted { Kind::Partitioned } else { kind };
    Some(Statement::Relation { name, kind, parent, constraints })
}

fn alter(mut rest: TokenCursor<'_>) -> Option<Statement> {
    if rest.skip("INDEX") {
        let parent = rest.name()?;
        let attach = rest.skip("ATTACH PARTITION");
        return attach
            .then(|| rest.name().map(|child| Statement::AttachIndex { parent, child }))?;
    }
    if !["TABLE", "FOREIGN TABLE", "DOMAIN"].iter().any(|words| rest.skip(words)) {
        return None;
    }
    let only = rest.skip("ONLY");
    let of = rest.name()?;
    if rest.skip("ATTACH PARTITION") {
        return rest.name().map(|child| Statement::Attach { parent: of, child });
    }
    if !rest.skip("ADD CONSTRAINT") {
        return None;
    }
    let mut kind = rest;
    kind.identifier()?;
    let index = ["PRIMARY KEY", "UNIQUE", "EXCLUDE"].iter().any(|words| kind.skip(words));
    Some(Statement::Constraint { of, constraint: constraint(rest.0)?, index, only })
}

/// Those that a definition names, at that depth of parentheses.
fn constraints(words: &[Token], depth: i32) -> Vec<Constraint> {
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

/// Reads one from its name on, up to where it ends.
fn constraint(words: &[Token]) -> Option<Constraint> {
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
    let says = |second: &str| bare.windows(2).any(|two| two[0].is("NOT") && two[1].is(second));
    Some(Constraint {
        name,
        not_valid: says("VALID"),
        not_enforced: says("ENFORCED"),
        not_null: says("NULL") && bare.first().is_some_and(|word| word.is("NOT")),
    })
}

#[cfg(test)]
mod tests;
