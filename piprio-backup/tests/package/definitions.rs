//! What the command lines are, as clap has them.

use clap::{Arg, Command};
use piprio_backup::{documents, programs::PROGRAMS};

/// A command as it is typed, such as `pg-snap dump`, and its definition.
pub struct Line {
    /// The words of the command.
    pub words: Vec<String>,
    /// Its definition, which was built.
    pub command: Command,
}

impl Line {
    /// Its options as they are typed, both short and long.
    pub fn options(&self) -> Vec<String> {
        let of = |arg: &Arg| {
            let short = arg.get_short().map(|short| format!("-{short}"));
            let long = arg.get_long().map(|long| format!("--{long}"));
            short.into_iter().chain(long).collect::<Vec<_>>()
        };
        self.command.get_arguments().filter(|arg| !arg.is_hide_set()).flat_map(of).collect()
    }

    /// The long options alone.
    pub fn long_options(&self) -> Vec<String> {
        self.options().into_iter().filter(|option| option.starts_with("--")).collect()
    }

    /// Its commands.
    pub fn commands(&self) -> Vec<String> {
        let commands = self.command.get_subcommands().filter(|command| !command.is_hide_set());
        let names = commands.map(|command| command.get_name().to_owned());
        names.filter(|name| name != "help").collect()
    }

    /// As it is typed.
    pub fn typed(&self) -> String {
        self.words.join(" ")
    }
}

/// The programs that are typed by their own names: `piprio-backup` and all others.
pub fn programs() -> Vec<Command> {
    let own = PROGRAMS.iter().map(|program| (program.command)().name(program.name));
    [documents::whole_command()].into_iter().chain(own).collect()
}

/// Every command of a program, itself first.
pub fn lines(program: &Command) -> Vec<Line> {
    let mut command = program.clone();
    command.build();
    let mut lines = Vec::new();
    collect(&command, &[], &mut lines);
    lines
}

fn collect(command: &Command, before: &[String], lines: &mut Vec<Line>) {
    let words: Vec<String> =
        before.iter().cloned().chain([command.get_name().to_owned()]).collect();
    lines.push(Line { words: words.clone(), command: command.clone() });
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        collect(sub, &words, lines);
    }
}
