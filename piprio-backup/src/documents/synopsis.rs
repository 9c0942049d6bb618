//! How a command is typed, with the names of the values.

use clap::{Arg, ArgAction, Command};
use clap_mangen::roff::{Inline, bold, italic, roman};

/// The line of a command, after its name.
pub fn synopsis(command: &Command) -> Vec<Inline> {
    let is_shown = |arg: &&Arg| {
        let is_of_clap = matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong
        );
        !arg.is_hide_set() && !is_of_clap && !matches!(arg.get_action(), ArgAction::Version)
    };
    let options = command.get_arguments().filter(|arg| !arg.is_positional());
    let mut options: Vec<&Arg> = options.filter(is_shown).collect();
    options.sort_by_key(|arg| (!arg.is_required_set(), arg.get_display_order()));
    let mut line = Vec::new();
    for arg in options.into_iter().chain(command.get_positionals().filter(is_shown)) {
        let (before, after) = if arg.is_required_set() { (" ", "") } else { (" [", "]") };
        line.push(roman(before));
        line.extend(argument(arg));
        line.push(roman(after));
    }
    if command.get_subcommands().any(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let (before, after) =
            if command.is_subcommand_required_set() { (" ", "") } else { (" [", "]") };
        line.extend([roman(before), italic("COMMAND"), roman(after)]);
    }
    line
}

/// An option with its value, or a value alone.
fn argument(arg: &Arg) -> Vec<Inline> {
    let mut words = Vec::new();
    if let Some(short) = arg.get_short() {
        words.push(bold(format!("-{short}")));
    }
    if let Some(long) = arg.get_long() {
        words.extend((!words.is_empty()).then(|| roman("|")));
        words.push(bold(format!("--{long}")));
    }
    if arg.is_positional() || arg.get_action().takes_values() {
        words.extend((!words.is_empty()).then(|| roman(" ")));
        words.push(italic(values(arg)));
    }
    let repeats = matches!(arg.get_action(), ArgAction::Append | ArgAction::Count)
        || arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    words.extend(repeats.then(|| roman("…")));
    words
}

fn values(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    match names.is_empty() {
        true => arg.get_id().as_str().to_uppercase(),
        false => names.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::arg;
    use clap_mangen::roff::Roff;

    #[test]
    fn values_have_their_names_and_what_is_required_has_no_brackets() {
        let command = Command::new("x")
            .arg(arg!(-j --jobs <N> "how many").required(false))
            .arg(arg!(--schema <NAME> "which").required(true))
            .arg(arg!(-q --quiet "less"))
            .arg(arg!([FILE] "what"))
            .arg(arg!(<DIR> ... "where"))
            .arg(arg!(--hidden).hide(true));
        let text = Roff::default().text(synopsis(&command)).to_roff();
        let plain = text.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "");
        let expected = " --schema NAME [-j|--jobs N] [-q|--quiet] [FILE] DIR…";
        assert_eq!(plain.replace("\\-", "-").trim_end_matches('\n'), expected);
    }
}
