//! SQL as words: enough to tell what a statement of pg_dump is about. Comments are taken to be gone.

/// A name with its schema: `public.t` is `("public", "t")`.
pub type Name = (String, String);

/// The name that a text is, quoted as PostgreSQL quotes it.
pub fn name(text: &str) -> Option<Name> {
    Rest(&words(text, 3)).name()
}

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A keyword, or a name without quotes, as it stands.
    Plain(String),
    /// A name in double quotes, without them.
    Quoted(String),
    /// A string, of whatever kind.
    Text,
    /// Any other character but white space.
    Mark(char),
}

impl Word {
    /// Whether it is that keyword, given in upper case.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Word::Plain(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn name(&self) -> Option<&str> {
        match self {
            Word::Plain(name) | Word::Quoted(name) => Some(name),
            _ => None,
        }
    }
}

/// The words of a statement, at most so many.
pub fn words(sql: &str, most: usize) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = sql.trim_start();
    while words.len() < most
        && let Some(first) = rest.chars().next()
    {
        let (word, length) = match first {
            '"' => quoted(rest, '"')
                .map_or((Word::Mark(first), 1), |(name, n)| (Word::Quoted(name), n)),
            '\'' => quoted(rest, '\'').map_or((Word::Mark(first), 1), |(_, n)| (Word::Text, n)),
            c if is_plain(c) => {
                let end = rest.find(|c| !is_plain(c)).unwrap_or(rest.len());
                (Word::Plain(rest[..end].to_owned()), end)
            }
            c => (Word::Mark(c), c.len_utf8()),
        };
        words.push(word);
        rest = rest[length..].trim_start();
    }
    words
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// What stands in quotes at the beginning, with doubled ones made single, and how long it was.
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

/// Words not yet looked at.
#[derive(Clone, Copy)]
pub struct Rest<'a>(pub &'a [Word]);

impl<'a> Rest<'a> {
    /// Takes these keywords, if they come next.
    pub fn skip(&mut self, keywords: &str) -> bool {
        let mut rest = self.0;
        for keyword in keywords.split(' ') {
            match rest.split_first() {
                Some((word, after)) if word.is(keyword) => rest = after,
                _ => return false,
            }
        }
        self.0 = rest;
        true
    }

    /// Takes a name, of two parts or of one, whose schema then is empty.
    pub fn name(&mut self) -> Option<Name> {
        let first = self.one()?;
        match self.0 {
            [Word::Mark('.'), rest @ ..] => {
                self.0 = rest;
                Some((first, self.one()?))
            }
            _ => Some((String::new(), first)),
        }
    }

    /// Takes a name's one part.
    pub fn one(&mut self) -> Option<String> {
        let (word, rest) = self.0.split_first()?;
        self.0 = rest;
        word.name().map(str::to_owned)
    }

    /// Goes on behind a keyword that stands outside parentheses.
    pub fn find(&mut self, keyword: &str) -> bool {
        let mut depth = 0;
        for (at, word) in self.0.iter().enumerate() {
            match word {
                Word::Mark('(') => depth += 1,
                Word::Mark(')') => depth -= 1,
                word if depth == 0 && word.is(keyword) => {
                    self.0 = &self.0[at + 1..];
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    /// Whether a function or an operator of somebody's own may be called in what is left: one with its
    /// schema.
    pub fn calls_functions(&self) -> bool {
        self.0.windows(4).any(|four| match four {
            [a, Word::Mark('.'), b, Word::Mark('(')] => is_own(a) && b.name().is_some(),
            [a, Word::Mark('('), b, Word::Mark('.')] => a.is(OPERATOR) && is_own(b),
            _ => false,
        })
    }

    /// Names with a schema, not the server's own, in the definition of a table or type: but not those
    /// of defaults, which a dump's rows do not need. All operators of a schema have one name.
    pub fn names_of_definition(&self) -> Vec<Name> {
        let mut names = Vec::new();
        let (mut depth, mut default) = (0, false);
        for (at, word) in self.0.iter().enumerate() {
            match word {
                Word::Mark('(') => depth += 1,
                Word::Mark(')') => depth -= 1,
                Word::Mark(',') if depth == 1 => default = false,
                word if depth == 1 && word.is("CHECK") => default = false,
                word if depth == 1 && word.is("DEFAULT") => default = true,
                _ => {}
            }
            match &self.0[at..] {
                _ if default => {}
                [a, Word::Mark('('), b, Word::Mark('.'), ..] if a.is(OPERATOR) && is_own(b) => {
                    names.extend(b.name().map(operators));
                }
                [a, Word::Mark('.'), b, ..] if is_own(a) => {
                    names.extend(a.name().zip(b.name()).map(|(a, b)| (a.into(), b.into())));
                }
                _ => {}
            }
        }
        names
    }
}

const OPERATOR: &str = "OPERATOR";

/// The name that stands for all operators of a schema.
pub fn operators(schema: &str) -> Name {
    (schema.to_owned(), OPERATOR.to_owned())
}

fn is_own(schema: &Word) -> bool {
    schema.name().is_some_and(|schema| schema != "pg_catalog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_names_marks_and_strings() {
        let plain = |word: &str| Word::Plain(word.into());
        assert_eq!(
            words("COPY \"a.\"\"b\".t$1 ('it''s; x', É)", 99),
            [
                plain("COPY"),
                Word::Quoted("a.\"b".into()),
                Word::Mark('.'),
                plain("t$1"),
                Word::Mark('('),
                Word::Text,
                Word::Mark(','),
                plain("É"),
                Word::Mark(')'),
            ]
        );
        assert_eq!(words("a \"b", 99), [plain("a"), Word::Mark('"'), plain("b")]);
        assert_eq!(words("a b c", 2).len(), 2);
    }

    #[test]
    fn a_keyword_in_parentheses_or_quotes_is_not_found() {
        let words = words("(references x) \"references\" REFERENCES a.b (c)", 99);
        let mut rest = Rest(&words);
        assert!(rest.find("REFERENCES"));
        assert_eq!(rest.name(), Some(("a".into(), "b".into())));
        assert!(!rest.find("REFERENCES"));
    }

    #[test]
    fn a_definition_names_what_its_rows_need() {
        let names = |sql: &str| {
            let names = Rest(&words(sql, 99)).names_of_definition();
            names.iter().map(|(schema, name)| format!("{schema}.{name} ")).collect::<String>()
        };
        assert_eq!(
            names("(a s.d, b text DEFAULT s.f('x', s.g()) NOT NULL, c \"S\".e)"),
            "s.d S.e "
        );
        assert_eq!(names("(a text DEFAULT s.f() CHECK (s.g(a)))"), "s.g ");
        assert_eq!(names("(a int GENERATED ALWAYS AS (s.f(b)) STORED) INHERITS (s.p)"), "s.f s.p ");
        assert_eq!(names("(a int, CONSTRAINT c CHECK ((a OPERATOR(s.<@) 1)))"), "s.OPERATOR ");
        assert_eq!(names("(a pg_catalog.int4, b text COLLATE pg_catalog.\"C\")"), "");
        assert_eq!(names("(a date) PARTITION BY RANGE (s.f(a))"), "s.f ");
    }
}
