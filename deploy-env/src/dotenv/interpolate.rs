//! `$VAR` and `${VAR…}` inside values.

/// How deep `${A:-${B:-…}}` may nest.
const DEEPEST: usize = 32;

type Result<T> = std::result::Result<T, String>;
type Look<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

/// Replaces the variables of a template. Those that are set nowhere are empty and added to `unset`. An
/// error's text holds nothing of the value.
pub fn interpolate<'a>(
    template: &str,
    look: &Look<'a>,
    unset: &mut Vec<String>,
    longest: usize,
) -> Result<String> {
    Interpolation { look, unset, longest }.expand(template, 0)
}

struct Interpolation<'a, 'b> {
    look: &'b Look<'a>,
    unset: &'b mut Vec<String>,
    longest: usize,
}

impl Interpolation<'_, '_> {
    fn expand(&mut self, template: &str, depth: usize) -> Result<String> {
        if depth > DEEPEST {
            return Err("variables are nested too deep".into());
        }
        let mut out = String::with_capacity(template.len());
        let mut rest = template;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            rest = self.reference(rest, depth, &mut out)?;
            if out.len() > self.longest {
                return Err("the value is too long".into());
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Replaces the reference whose `$` has just been read; gives what follows it.
    fn reference<'t>(&mut self, rest: &'t str, depth: usize, out: &mut String) -> Result<&'t str> {
        if let Some(rest) = rest.strip_prefix('$') {
            out.push('$');
            return Ok(rest);
        }
        if let Some(inner) = rest.strip_prefix('{') {
            let end = closing(inner).ok_or("a ${ is never closed")?;
            out.push_str(&self.braced(&inner[..end], depth)?);
            return Ok(&inner[end + 1..]);
        }
        let length = name_length(rest);
        if length == 0 {
            return Err(
                "a $ without a variable; write $$, or put the value in single quotes".into()
            );
        }
        let name = &rest[..length];
        out.push_str(self.plain(name));
        Ok(&rest[length..])
    }

    fn plain<'s>(&mut self, name: &str) -> &'s str
    where
        Self: 's,
    {
        (self.look)(name).unwrap_or_else(|| {
            self.unset.push(name.to_owned());
            ""
        })
    }

    fn braced(&mut self, inner: &str, depth: usize) -> Result<String> {
        let (name, operation) = inner.split_at(name_length(inner));
        if name.is_empty() {
            return Err("a ${ without a variable's name".into());
        }
        if operation.is_empty() {
            return Ok(self.plain(name).to_owned());
        }
        let (filled, operation) = match operation.strip_prefix(':') {
            Some(operation) => (true, operation),
            None => (false, operation),
        };
        let value = (self.look)(name).filter(|v| !filled || !v.is_empty());
        let word = operation.get(1..).unwrap_or_default();
        match (operation.as_bytes().first(), value) {
            (Some(b'-' | b'?'), Some(value)) => Ok(value.to_owned()),
            (Some(b'-'), None) | (Some(b'+'), Some(_)) => self.expand(word, depth + 1),
            (Some(b'+'), None) => Ok(String::new()),
            (Some(b'?'), None) => Err(format!("it requires {name}, which is not set")),
            _ => Err("a ${ that is not closed after the variable's name".into()),
        }
    }
}

/// Where the brace that is already open closes; each `${` inside opens another.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    let mut before = b' ';
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if before == b'$' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
        before = byte;
    }
    None
}

fn name_length(text: &str) -> usize {
    let first = |b: u8| b == b'_' || b.is_ascii_alphabetic();
    if !text.bytes().next().is_some_and(first) {
        return 0;
    }
    text.bytes().position(|b| !first(b) && !b.is_ascii_digit()).unwrap_or(text.len())
}
