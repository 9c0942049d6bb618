//! One man page.

use super::synopsis::synopsis;
use crate::programs::named;
use crate::scripts;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io::Result;

/// The name of the command that starts all others.
pub const NAME: &str = "piprio-backup";

/// The page of a command: `pg-snap`, or of a command of it, `pg-snap dump`.
pub struct Page<'a> {
    command: &'a Command,
    words: &'a [&'a str],
    man: Man,
}

impl<'a> Page<'a> {
    /// A page of a command that was built, and is typed with these words.
    pub fn new(command: &'a Command, words: &'a [&'a str], date: &str) -> Self {
        let name = words.join("-");
        let man = Man::new(command.clone().display_name(&name))
            .title(name.to_uppercase())
            .date(date)
            .source(format!("{NAME} {}", env!("CARGO_PKG_VERSION")))
            .manual("Backup and restore of a deployment");
        Self { command, words, man }
    }

    /// The name of the page, without its section.
    pub fn name(&self) -> String {
        self.words.join("-")
    }

    /// The page as roff.
    ///
    /// # Errors
    /// None: what is written to is memory.
    pub fn render(&self) -> Result<String> {
        let mut text = Roff::default().render();
        let preamble = text.clone();
        let mut add = |bytes: Vec<u8>| {
            text.push_str(&String::from_utf8_lossy(&bytes).replacen(&preamble, "", 1));
        };
        let section = |render: fn(&Man, &mut dyn std::io::Write) -> Result<()>| {
            let mut bytes = Vec::new();
            render(&self.man, &mut bytes).map(|()| bytes)
        };
        add(section(Man::render_title)?);
        add(section(Man::render_name_section)?);
        add(self.synopsis().into_bytes());
        add(section(Man::render_description_section)?);
        add(section(Man::render_options_section)?);
        add(self.commands().into_bytes());
        add(self.after_help().into_bytes());
        add(self.see_also().into_bytes());
        Ok(text)
    }

    fn synopsis(&self) -> String {
        let mut roff = Roff::default();
        roff.control("SH", ["SYNOPSIS"]);
        let mut line = vec![bold(self.words.join(" "))];
        line.extend(synopsis(self.command));
        roff.text(line);
        roff.to_roff()
    }

    /// The commands, and the page of each.
    fn commands(&self) -> String {
        let subs = self.command.get_subcommands();
        let mut subs = subs.filter(|sub| !sub.is_hide_set() && sub.get_name() != "help").peekable();
        let mut roff = Roff::default();
        if subs.peek().is_none() {
            return String::new();
        }
        roff.control("SH", ["COMMANDS"]);
        for sub in subs {
            let name = sub.get_name();
            roff.control("TP", []);
            roff.text([bold(name)]);
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            roff.text([roman(format!("{about}. See ")), bold(self.page_of(name)), roman("(1).")]);
        }
        roff.to_roff()
    }

    /// A program has its own page; a script that passes its commands on to a program, the pages of that one.
    fn page_of(&self, command: &str) -> String {
        let is_program = self.words == [NAME] && named(command.as_ref()).is_some();
        match self.started() {
            _ if is_program => command.to_owned(),
            Some(program) => format!("{program}-{command}"),
            None => format!("{}-{command}", self.name()),
        }
    }

    /// What a script passes its options to.
    fn starts(&self) -> Option<&'static [&'static str]> {
        let script = self.words.get(1).filter(|_| self.words[0] == NAME)?;
        let starts = scripts::named(script.as_ref())?.starts;
        (!starts.is_empty()).then_some(starts)
    }

    /// The page of that.
    fn started(&self) -> Option<String> {
        self.starts().map(|starts| starts.join("-"))
    }

    /// What follows the options in `--help`. That of `piprio-backup` itself lists its commands, which have a section
    /// here.
    fn after_help(&self) -> String {
        let help = self.command.get_after_long_help().or_else(|| self.command.get_after_help());
        let text = help.filter(|_| self.words != [NAME]).map(ToString::to_string);
        sections(&self.as_typed(&text.unwrap_or_default())).to_roff()
    }

    /// Examples of a program as one types them for the script that starts it.
    fn as_typed(&self, text: &str) -> String {
        let Some(starts) = self.starts() else { return text.to_owned() };
        let (program, script) = (starts.join(" "), self.words.join(" "));
        let line = |line: &str| match line.strip_prefix("  ") {
            Some(example) if example.starts_with(&program) => {
                format!("  {}\n", example.replacen(&program, &script, 1))
            }
            _ => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }

    fn see_also(&self) -> String {
        let parent = (self.words.len() > 1).then(|| self.words[0].to_owned());
        let mut pages: Vec<String> = self.started().into_iter().chain(parent).collect();
        if self.words[0] != NAME {
            pages.push(NAME.to_owned());
        }
        let mut roff = Roff::default();
        roff.control("SH", ["SEE ALSO"]);
        let mut line = Vec::new();
        for page in pages {
            line.extend((!line.is_empty()).then(|| roman(", ")));
            line.extend([bold(page), roman("(1)")]);
        }
        if self.words == [NAME] {
            line.extend([bold("piprio-backup-bundle"), roman("(5)")]);
        }
        roff.text(line);
        roff.to_roff()
    }
}

/// The sections of a text: headings begin one, indented lines stay as they are, all others are paragraphs. What comes
/// before the first heading has the heading NOTES.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::default();
    let (mut has_section, mut is_verbatim) = (false, false);
    for line in text.lines() {
        let found = heading(line);
        let verbatim =
            found.is_none() && (line.starts_with(' ') || (is_verbatim && line.is_empty()));
        if verbatim != is_verbatim {
            roff.control(if verbatim { "nf" } else { "fi" }, []);
            is_verbatim = verbatim;
        }
        if let Some((heading, rest)) = found {
            roff.control("SH", [heading]);
            if let Some(rest) = rest {
                roff.text([roman(format!("{rest}:"))]);
            }
        } else if line.is_empty() && !verbatim {
            roff.control("PP", []);
        } else {
            if !has_section {
                roff.control("SH", ["NOTES"]);
            }
            roff.text([roman(line)]);
        }
        has_section = true;
    }
    if is_verbatim {
        roff.control("fi", []);
    }
    roff
}

/// A heading is a line of words in capitals; a colon may follow them, or a comma and more.
fn heading(line: &str) -> Option<(&str, Option<&str>)> {
    let text = line.strip_suffix(':').unwrap_or(line);
    let (words, rest) = match text.split_once(", ") {
        Some((words, rest)) => (words, Some(rest)),
        None => (text, None),
    };
    let is_heading = words.len() > 3
        && words
            .split(' ')
            .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase()));
    is_heading.then_some((words, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_words_in_capitals() {
        for (line, expected) in [
            ("EXAMPLES:", Some(("EXAMPLES", None))),
            ("EXIT STATUS", Some(("EXIT STATUS", None))),
            ("STAGES, in this order:", Some(("STAGES", Some("in this order")))),
            (
                "ENVIRONMENT, as deploy-env exports it",
                Some(("ENVIRONMENT", Some("as deploy-env exports it"))),
            ),
            ("Standard output has a line:", None),
            ("PATH.", None),
            ("  EXAMPLES:", None),
            ("", None),
        ] {
            assert_eq!(heading(line), expected, "{line}");
        }
    }

    #[test]
    fn examples_stay_as_they_are_and_what_precedes_them_is_a_note() {
        let text = "Some prose\nover lines.\n\nEXAMPLES\n  a  b\n\n  c\nProse again.";
        let expected = ".SH NOTES\nSome prose\nover lines.\n.PP\n.SH EXAMPLES\n.nf\n  a  b\n\n  c\n.fi\nProse again.\n";
        assert_eq!(sections(text).to_roff(), expected);
    }
}
