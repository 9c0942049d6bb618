//! The passes in which a dump has definitions: objects, then privileges, then what fills materialized views, then event
//! triggers. Each section of pg_dump goes through the first three, with the event triggers at the beginning of the third,
//! where they would watch or refuse the filling of views. In the joined dump every object must be created before the
//! first privilege is revoked, so the passes of the sections are kept apart.

use super::section_writer::{SectionWriter, Sink};
use crate::sql::scanner::{Observer, Scanner};
use crate::sql::{is_of_event_trigger, portable};
use anyhow::Result;

/// How many passes there are.
pub const PASSES: usize = 4;

/// Sorts the text of one section of pg_dump by its passes.
pub struct Passes<'a, S> {
    scanner: Scanner,
    sorter: PassSorter<'a, S>,
}

struct PassSorter<'a, S> {
    sections: [SectionWriter<'a, S>; PASSES],
    pass: usize,
    /// Since the last statement's end.
    text: Vec<u8>,
}

impl<'a, S: Sink> Passes<'a, S> {
    pub fn new(sections: [SectionWriter<'a, S>; PASSES]) -> Self {
        let sorter = PassSorter { sections, pass: 0, text: Vec::new() };
        Self { scanner: Scanner::default(), sorter }
    }

    /// Adds text to the beginning, as a member of its own.
    pub fn apart(&mut self, text: &[u8]) -> Result<()> {
        self.sorter.sections[0].write_apart(text)
    }

    /// Adds text to the beginning, as it is.
    pub fn head(&mut self, text: &[u8]) -> Result<()> {
        self.sorter.sections[0].write(text)
    }

    /// Adds text of pg_dump.
    pub fn write(&mut self, text: &[u8]) -> Result<()> {
        self.scanner.scan(text, &mut self.sorter)
    }

    /// Returns the length of the text of each pass.
    pub fn finish(mut self) -> Result<[u64; PASSES]> {
        self.sorter.flush()?;
        let mut lengths = [0; PASSES];
        for (length, section) in lengths.iter_mut().zip(self.sorter.sections) {
            *length = section.finish()?;
        }
        Ok(lengths)
    }
}

impl<S: Sink> PassSorter<'_, S> {
    fn flush(&mut self) -> Result<()> {
        self.sections[self.pass].write(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

impl<S: Sink> Observer for PassSorter<'_, S> {
    fn text(&mut self, bytes: &[u8]) -> Result<()> {
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        self.text = portable(std::mem::take(&mut self.text));
        let pass = match pass_of(sql) {
            of_others @ ..=1 => self.pass.max(of_others),
            own => own,
        };
        if pass != self.pass {
            // The line breaks that end the last statement stay with it.
            let breaks = self.text.iter().take_while(|byte| **byte == b'\n').count();
            let rest = self.text.split_off(breaks);
            self.flush()?;
            (self.pass, self.text) = (pass, rest);
        }
        self.flush()
    }
}

/// The pass of a statement of pg_dump: the earliest one that it may be in or, of the last two, its own.
fn pass_of(sql: &[u8]) -> usize {
    let sql = sql.trim_ascii_start();
    let begins = |words: &[&str]| words.iter().any(|words| sql.starts_with(words.as_bytes()));
    if begins(&["GRANT ", "REVOKE ", "ALTER DEFAULT PRIVILEGES "]) {
        1
    } else if begins(&["REFRESH MATERIALIZED VIEW "]) {
        2
    } else if is_of_event_trigger(sql) {
        3
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::section_writer::MemberMaker;
    use crate::gzip::{Inflater, Level};

    #[test]
    fn privileges_and_what_comes_after_them_are_kept_apart_with_their_comments() {
        let mut makers = [(); PASSES].map(|()| MemberMaker::new(Level::Fast));
        let mut sinks = [(); PASSES].map(|()| Vec::new());
        let [a, b, c, d] = &mut makers;
        let [x, y, z, t] = &mut sinks;
        let mut passes = Passes::new([
            SectionWriter::new(a, x),
            SectionWriter::new(b, y),
            SectionWriter::new(c, z),
            SectionWriter::new(d, t),
        ]);
        let main = "--\n-- f\n--\n\nCREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$\nGRANT x;\n$$;\n\n\n";
        let acl = "--\n-- acl\n--\n\nREVOKE ALL ON FUNCTION f() FROM PUBLIC;\nSET x = 1;\n\n";
        let trigger = "--\n-- e\n--\n\nCREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION f();\n\n\n\
            ALTER EVENT TRIGGER e DISABLE;\n\nALTER EVENT TRIGGER e OWNER TO o;\n\n";
        let fill = "--\n-- m\n--\n\nREFRESH MATERIALIZED VIEW m;\n\n";
        passes.head(b"\\restrict k\n").unwrap();
        passes.write(main.as_bytes()).unwrap();
        passes.write(format!("{acl}{trigger}{fill}").as_bytes()).unwrap();
        let lengths = passes.finish().unwrap();
        let text = |members: &Vec<Vec<u8>>| {
            let texts = members.iter().flat_map(|m| Inflater::new().text(m).unwrap());
            String::from_utf8(texts.collect()).unwrap()
        };
        let texts = [0, 1, 2, 3].map(|pass| text(&sinks[pass]));
        assert_eq!(texts, [&format!("\\restrict k\n{main}"), acl, fill, trigger]);
        assert_eq!(lengths, texts.map(|text| text.len() as u64));
    }
}
