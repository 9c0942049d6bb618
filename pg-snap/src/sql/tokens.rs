//! SQL as tokens: enough to recognise a statement of pg_dump. The text has no comments.

/// A name with its schema: `public.t` is `("public", "t")`.
pub type Name = (String, String);

/// Parses a name that is quoted as PostgreSQL quotes it.
pub fn name(text: &str) -> Option<Name> {
    TokenCursor(&tokens(text, 3)).name()
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A keyword or a name without quotes, as written.
    Plain(String),
    /// A name in double quotes, without them.
    Quoted(String),
    /// A string constant of any kind.
    Text,
    /// Any other character but white space.
    Mark(char),
}

impl Token {
    /// Whether it is this keyword, in any case.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Plain(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn name(&self) -> Option<&str> {
        match self {
            Token::Plain(name) | Token::Quoted(name) => Some(name),
            _ => None,
        }
    }
}

/// The first tokens of a statement, at most `most`.
pub fn tokens(sql: &str, most: usize) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql.trim_start();
    while tokens.len() < most
        && let Some(first) = rest.chars().next()
    {
        let (token, length) = match first {
            '"' => quoted(rest, '"')
                .map_or((Token::Mark(first), 1), |(name, n)| (Token::Quoted(name), n)),
            '\'' => quoted(rest, '\'').map_or((Token::Mark(first), 1), |(_, n)| (Token::Text, n)),
            c if is_plain(c) => {
                let end = rest.find(|c| !is_plain(c)).unwrap_or(rest.len());
                (Token::Plain(rest[..end].to_owned()), end)
            }
            c => (Token::Mark(c), c.len_utf8()),
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    tokens
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// The quoted text at the beginning, with doubled quotes made single, and its length with the quotes.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Some((name, at + c.len_utf8()));
        }
        name.push(c);
    }
    None
}

/// The tokens that have not been read yet.
#[derive(Clone, Copy)]
pub struct TokenCursor<'a>(pub &'a [Token]);

impl<'a> TokenCursor<'a> {
    /// Skips these keywords if they come next.
    pub fn skip(&mut self, keywords: &str) -> bool {
        let mut rest = self.0;
        for keyword in keywords.split(' ') {
            match rest.split_first() {
                Some((token, after)) if token.is(keyword) => rest = after,
                _ => return false,
            }
        }
        self.0 = rest;
        true
    }

    /// Reads a name with or without a schema, which is empty where there is none.
    pub fn name(&mut self) -> Option<Name> {
        let first = self.identifier()?;
        match self.0 {
            [Token::Mark('.'), rest @ ..] => {
                self.0 = rest;
                Some((first, self.identifier()?))
            }
            _ => Some((String::new(), first)),
        }
    }

    /// Reads one part of a name.
    pub fn identifier(&mut self) -> Option<String> {
        let (token, rest) = self.0.split_first()?;
        self.0 = rest;
        token.name().map(str::to_owned)
    }

    /// Skips everything up to a keyword outside parentheses, and the keyword.
    pub fn find(&mut self, keyword: &str) -> bool {
        let mut depth = 0;
        for (at, token) in self.0.iter().enumerate() {
            match token {
                Token::Mark('(') => depth += 1,
                Token::Mark(')') => depth -= 1,
                token if depth == 0 && token.is(keyword) => {
                    self.0 = &self.0[at + 1..];
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    /// Whether the rest may call a function or operator that is not the server's own: one with a schema.
    pub fn calls_functions(&self) -> bool {
        self.0.windows(4).any(|four| match four {
            [a, Token::Mark('.'), b, Token::Mark('(')] => is_own(a) && b.name().is_some(),
            [a, Token::Mark('('), b, Token::Mark('.')] => a.is(OPERATOR) && is_own(b),
            _ => false,
        })
    }

    /// Names with a schema, not the server's own, in the definition of a table or type, and functions whose values are
    /// not the same in every session. Those in defaults are left out: a dump's rows do not need them. All operators of a
    /// schema have one name.
    pub fn names_of_definition(&self) -> Vec<Name> {
        let mut names = Vec::new();
        let (mut depth, mut default) = (0, false);
        for (at, token) in self.0.iter().enumerate() {
            match token {
                Token::Mark('(') => depth += 1,
                Token::Mark(')') => depth -= 1,
                Token::Mark(',') if depth == 1 => default = false,
                token if depth == 1 && token.is("CHECK") => default = false,
                token if depth == 1 && token.is("DEFAULT") => default = true,
                _ => {}
            }
            match &self.0[at..] {
                _ if default => {}
                [a, Token::Mark('('), b, Token::Mark('.'), ..] if a.is(OPERATOR) && is_own(b) => {
                    names.extend(b.name().map(operators));
                }
                [a, Token::Mark('.'), b, ..] if is_own(a) => {
                    names.extend(a.name().zip(b.name()).map(|(a, b)| (a.into(), b.into())));
                }
                [Token::Plain(word), next, ..] if depends_on_session(word, next) => {
                    names.push(("pg_catalog".to_owned(), word.to_ascii_lowercase()));
                }
                _ => {}
            }
        }
        names
    }
}

/// Whether it calls a function of the server's own whose value depends on the search path or the name of the database.
fn depends_on_session(word: &str, next: &Token) -> bool {
    let word = word.to_ascii_lowercase();
    let calls = word == "current_database" || word.starts_with("to_reg");
    word == "current_catalog" || calls && *next == Token::Mark('(')
}

const OPERATOR: &str = "OPERATOR";

/// The name that stands for all operators of a schema.
pub fn operators(schema: &str) -> Name {
    (schema.to_owned(), OPERATOR.to_owned())
}

fn is_own(schema: &Token) -> bool {
    schema.name().is_some_and(|schema| schema != "pg_catalog")
}

/// The name that follows one of these phrases at the beginning of a statement.
pub fn name_after(sql: &str, phrases: &[&str]) -> Option<Name> {
    // Most statements begin otherwise, and need no tokens.
    let rest = phrases.iter().find_map(|phrase| {
        let head = sql.get(..phrase.len())?;
        head.eq_ignore_ascii_case(phrase).then(|| &sql[phrase.len()..])
    })?;
    if !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let tokens = tokens(rest, NAME_TOKENS);
    let mut rest = TokenCursor(&tokens);
    rest.skip("IF NOT EXISTS");
    rest.skip("ONLY");
    rest.name()
}

/// `IF NOT EXISTS ONLY s.t` has as many.
const NAME_TOKENS: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_names_marks_and_strings() {
        let plain = |token: &str| Token::Plain(token.into());
        assert_eq!(
            tokens("COPY \"a.\"\"b\".t$1 ('it''s; x', É)", 99),
            [
                plain("COPY"),
                Token::Quoted("a.\"b".into()),
                Token::Mark('.'),
                plain("t$1"),
                Token::Mark('('),
                Token::Text,
                Token::Mark(','),
                plain("É"),
                Token::Mark(')'),
            ]
        );
        assert_eq!(tokens("a \"b", 99), [plain("a"), Token::Mark('"'), plain("b")]);
        assert_eq!(tokens("a b c", 2).len(), 2);
    }

    #[test]
    fn a_keyword_in_parentheses_or_quotes_is_not_found() {
        let tokens = tokens("(references x) \"references\" REFERENCES a.b (c)", 99);
        let mut rest = TokenCursor(&tokens);
        assert!(rest.find("REFERENCES"));
        assert_eq!(rest.name(), Some(("a".into(), "b".into())));
        assert!(!rest.find("REFERENCES"));
    }

    #[test]
    fn a_definition_names_what_its_rows_need() {
        let names = |sql: &str| {
            let names = TokenCursor(&tokens(sql, 99)).names_of_definition();
            names.iter().map(|(schema, name)| format!("{schema}.{name} ")).collect::<String>()
        };
        assert_eq!(
            names("(a s.d, b text DEFAULT s.f('x', s.g()) NOT NULL, c \"S\".e)"),
            "s.d S.e "
        );
        assert_eq!(names("(a text DEFAULT s.f() CHECK (s.g(a)))"), "s.g ");
        assert_eq!(names("(a int GENERATED ALWAYS AS (s.f(b)) STORED) INHERITS (s.p)"), "s.f s.p ");
        assert_eq!(names("(a int, CONSTRAINT c CHECK ((a OPERATOR(s.<@) 1)))"), "s.OPERATOR ");
        assert_eq!(
            names(
                "(a text CHECK ((to_regclass(a) <> CURRENT_CATALOG)), to_reg int DEFAULT current_database())"
            ),
            "pg_catalog.to_regclass pg_catalog.current_catalog "
        );
        assert_eq!(names("(a pg_catalog.int4, b text COLLATE pg_catalog.\"C\")"), "");
        assert_eq!(names("(a date) PARTITION BY RANGE (s.f(a))"), "s.f ");
    }

    #[test]
    fn names_are_read_as_postgresql_quotes_them() {
        let name = |sql, words| name_after(sql, &[words]).map(|(s, n)| format!("{s}|{n}"));
        assert_eq!(name("COPY public.t (a) FROM stdin", "COPY").as_deref(), Some("public|t"));
        assert_eq!(name("copy t from stdin", "COPY").as_deref(), Some("|t"));
        assert_eq!(name("COPY \"a.b\".\"c\"\"d\" FROM", "COPY").as_deref(), Some("a.b|c\"d"));
        assert_eq!(name("CREATE SCHEMA tenant_1;", "CREATE SCHEMA").as_deref(), Some("|tenant_1"));
        assert_eq!(name("COPYRIGHT x", "COPY"), None);
        assert_eq!(name("COPY (select 1) TO stdout", "COPY"), None);
        assert_eq!(name("COPY \"unended", "COPY"), None);
    }
}
