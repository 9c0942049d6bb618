//! The wrapper scripts, as commands.

use crate::programs;
use clap::builder::PathBufValueParser;
use clap::{Arg, ArgAction, Command};
use std::ffi::OsStr;

/// A script.
pub struct Script {
    /// The command that starts it; the file's name is the same with `.sh`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The program that it passes its options to, and that program's command; nothing if it is none of the toolkit's.
    pub starts: &'static [&'static str],
    /// The options that it has itself.
    options: &'static [Flag],
}

/// An option of a script.
#[derive(Clone, Copy)]
enum Flag {
    Identity,
    PassphraseFile,
    Recipient,
    RecipientsFile,
    Passphrase,
    Gpg,
    Bundle,
}

use Flag::{Bundle, Gpg, Identity, Passphrase, PassphraseFile, Recipient, RecipientsFile};

const KEYS: &[Flag] = &[Identity, PassphraseFile];
const OF_SEAL: &[Flag] = &[Recipient, RecipientsFile, Passphrase, Gpg, PassphraseFile, Bundle];

const fn script(
    name: &'static str,
    about: &'static str,
    starts: &'static [&'static str],
    options: &'static [Flag],
) -> Script {
    Script { name, about, starts, options }
}

/// All of them, in the order in which they are needed.
pub const SCRIPTS: [Script; 7] = [
    script("backup", "Make a bundle of the whole deployment", &["backup-run"], &[]),
    script("restore", "Restore a bundle, or list the bundles", &["restore-run"], KEYS),
    script("drill", "Restore a bundle into a private server, and check it", &["drill-run"], KEYS),
    script("health-check", "Check the deployment's services", &["health-probe"], &[]),
    script("seal", "Encrypt a bundle into one file", &[], OF_SEAL),
    script(
        "unseal",
        "Decrypt and unpack a file that seal has made",
        &["bundle-manifest", "unpack"],
        &[],
    ),
    script("ship", "Copy bundles elsewhere, encrypted", &["ship-run"], &[]),
];

impl Script {
    /// Its command line, as its program and itself read it.
    pub fn command(&self) -> Command {
        let own = self.options.iter().map(|flag| flag.arg());
        let command = self.started().unwrap_or_else(|| Command::new(self.name));
        command.name(self.name).about(self.about).args(own)
    }

    fn started(&self) -> Option<Command> {
        let (program, words) = self.starts.split_first()?;
        let command = (programs::named(OsStr::new(program))?.command)();
        words.iter().try_fold(command, |command, word| command.find_subcommand(word).cloned())
    }
}

impl Flag {
    fn arg(self) -> Arg {
        let file = |arg: Arg, name: &'static str| {
            arg.value_name(name).value_parser(PathBufValueParser::new())
        };
        match self {
            Identity => file(Arg::new("identity").short('i'), "IDENTITY")
                .action(ArgAction::Append)
                .help("File of age identities that open an encrypted bundle"),
            PassphraseFile => file(Arg::new("passphrase_file").long("passphrase-file"), "FILE")
                .help("File whose first line is the passphrase of an encrypted bundle"),
            Recipient => Arg::new("recipient")
                .short('r')
                .value_name("RECIPIENT")
                .action(ArgAction::Append)
                .help("Public key of age, or with --gpg a key of gpg's keyring"),
            RecipientsFile => file(Arg::new("recipients_file").short('R'), "FILE")
                .action(ArgAction::Append)
                .help("File of public keys of age"),
            Passphrase => Arg::new("passphrase")
                .short('p')
                .action(ArgAction::SetTrue)
                .help("Encrypt with a passphrase, which is read from the terminal"),
            Gpg => Arg::new("gpg")
                .long("gpg")
                .action(ArgAction::SetTrue)
                .help("Encrypt with gpg instead of age"),
            Bundle => file(Arg::new("bundle").required(true), "BUNDLE").help("The bundle"),
        }
    }
}

/// The script of that name.
pub fn named(name: &OsStr) -> Option<&'static Script> {
    SCRIPTS.iter().find(|script| name == script.name)
}
