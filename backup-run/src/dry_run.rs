//! `--dry-run`: the exact command of every stage, without running it.

use crate::backup::refuse_if_unfinished;
use crate::bundle::Bundle;
use crate::commands::{Commands, copying};
use crate::link_source::link_source;
use crate::root::refuse_if_unmounted;
use crate::settings::Settings;
use crate::stage::Stage;
use anyhow::{Context, Result};
use pipe_kit::Exit;

/// Prints the commands of a run that begins now.
///
/// # Errors
/// If that run would be refused because a restore is unfinished, or the root's filesystem is not mounted.
pub fn run(settings: &Settings) -> Result<Exit> {
    let root = &settings.root;
    let root = match root.canonicalize() {
        Ok(root) => root,
        // The run would create it.
        Err(_) => {
            std::path::absolute(root).with_context(|| format!("finding {}", root.display()))?
        }
    };
    let bundle = Bundle::at(&root, chrono::Utc::now());
    let link = if root.is_dir() { link_source(settings, &bundle) } else { None };
    let commands = Commands { settings, bundle: &bundle, link };
    let mut text = String::new();
    for stage in Stage::ALL {
        let line = match commands.of(stage) {
            Ok(tool) => tool.to_shell(),
            Err(reason) => format!("# skipped: {reason}"),
        };
        text += &format!("{}\n    {line}\n", stage.heading());
        if let (Stage::Database, Some(tool)) = (stage, commands.first_pass()) {
            text += &format!("    {}  # beside it; begins with it\n", tool.to_shell());
        }
    }
    if let Some(tool) = copying(settings, &bundle.path) {
        text += &format!("then\n    {}\n", tool.to_shell());
    }
    pipe_kit::output::print(&text)?;
    refuse_if_unfinished(settings)?;
    refuse_if_unmounted(settings)?;
    Ok(Exit::Done)
}
