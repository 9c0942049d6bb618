//! Completions of a shell, and what clap_complete's need besides.

use clap::Command;
use clap_complete::Shell;

/// What a shell reads to complete a command under this name.
pub fn generate(shell: Shell, command: &Command, name: &str) -> String {
    let mut with_files = Vec::new();
    let mut command = match shell {
        Shell::Zsh => without_values_beside_commands(command, name, &mut with_files),
        _ => command.clone(),
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    match shell {
        Shell::Bash => with_one_name(&text, name),
        _ => with_files.iter().fold(text, |text, typed| with_files_beside_commands(&text, typed)),
    }
}

/// The bash of clap_complete names the commands of a program with a hyphen in its name in one way where it sets the
/// name, and in another where it reads it, so that no command of `pg-snap` would be completed.
fn with_one_name(text: &str, program: &str) -> String {
    text.replace(&program.replace('-', "__subcmd__"), &program.replace('-', "__"))
}

/// In zsh, a command that takes a value or a command would take the command for the value. These have files offered
/// beside their commands instead, and are noted as they are typed.
fn without_values_beside_commands(
    command: &Command,
    typed: &str,
    noted: &mut Vec<String>,
) -> Command {
    let has_commands = command.has_subcommands();
    let (values, options): (Vec<_>, Vec<_>) =
        command.get_arguments().cloned().partition(|arg| arg.is_positional() && has_commands);
    if !has_commands {
        return command.clone();
    }
    if !values.is_empty() {
        noted.push(typed.to_owned());
    }
    let bare = Command::new(command.get_name().to_owned())
        .about(command.get_about().cloned().unwrap_or_default())
        .args(options)
        .disable_help_subcommand(command.is_disable_help_subcommand_set());
    let bare = command.get_version().map(str::to_owned).into_iter().fold(bare, Command::version);
    command.get_subcommands().fold(bare, |bare, sub| {
        let typed = format!("{typed} {}", sub.get_name());
        bare.subcommand(without_values_beside_commands(sub, &typed, noted))
    })
}

fn with_files_beside_commands(text: &str, typed: &str) -> String {
    let commands = format!("    _describe -t commands '{typed} commands' commands \"$@\"\n");
    text.replace(&commands, &format!("{commands}    _files\n"))
}
