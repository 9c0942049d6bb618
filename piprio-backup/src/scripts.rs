//! The wrapper scripts, as commands.

use std::ffi::OsStr;

/// A script.
pub struct Script {
    /// The command that starts it; the file's name is the same with `.sh`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// All of them, in the order in which they are needed.
pub const SCRIPTS: [Script; 7] = [
    Script { name: "backup", about: "Make a bundle of the whole deployment" },
    Script { name: "restore", about: "Restore a bundle, or list the bundles" },
    Script { name: "drill", about: "Restore a bundle where it harms nothing, and check it" },
    Script { name: "health-check", about: "Check the deployment's services" },
    Script { name: "seal", about: "Encrypt a bundle into one file" },
    Script { name: "unseal", about: "Decrypt such a file" },
    Script { name: "ship", about: "Copy bundles elsewhere, encrypted" },
];

/// The script of that name.
pub fn named(name: &OsStr) -> Option<&'static Script> {
    SCRIPTS.iter().find(|script| name == script.name)
}
