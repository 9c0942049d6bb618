//! Commands for the operator to type.

use crate::options::Choices;
use crate::settings::Settings;
use pipe_kit::tool::Tool;
use std::path::Path;

fn restore_script(deploy: &Path) -> Tool {
    Tool::new("bash").arg(deploy.join("scripts/restore.sh"))
}

/// `bash …/restore.sh BUNDLE`, with the options that a run was started with.
pub fn restore(deploy: &Path, bundle: &Path, choices: Choices) -> String {
    restore_script(deploy).arg(bundle).args(choices.to_words()).to_shell()
}

/// `bash …/restore.sh --abandon`
pub fn abandon(deploy: &Path) -> String {
    restore_script(deploy).arg("--abandon").to_shell()
}

/// A tool as an operator types it, without this run's environment.
pub fn by_hand(settings: &Settings, tool: &Tool) -> String {
    let deploy_env = Tool::new(settings.deploy.join("bin/deploy-env"));
    format!("{} -- {}", deploy_env.to_shell(), tool.to_shell())
}
