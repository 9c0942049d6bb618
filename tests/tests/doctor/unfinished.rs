//! A restore that is not complete must be completed: what would end it is not printed.

use crate::{Sound, check_of, findings};
use anyhow::{Result, ensure};

#[test]
fn an_unfinished_restore_is_continued_and_nothing_is_started_or_given_up() -> Result<()> {
    let sound = Sound::new()?;
    sound.sh("bin/deploy-env -- sh -c '\"$PIPRIO_DRIVER\" stop worker'
         printf '{\"bundle\":\"%s\"}' \"$PWD\"/backups/piprio_* > .restore/unfinished.json")?;
    let (status, report) = sound.doctor()?;
    assert_eq!(status, Some(1));
    let bundle = std::fs::read_dir(sound.deployment.dir().join("backups"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("piprio_")))
        .unwrap();
    let scripts = sound.deployment.dir().join("scripts/restore.sh");
    let resume = format!("bash {} {} --resume", scripts.display(), bundle.display());
    for name in ["backup", "service worker"] {
        let (status, _, command) = check_of(&report, name);
        assert_eq!((status, command), ("finding", &*resume), "{name}");
    }
    for check in findings(&report) {
        let (found, command) = (check["found"].as_str().unwrap(), check["command"].as_str());
        let command = command.unwrap();
        ensure!(!found.contains("--abandon") && !command.contains("--abandon"), "{check}");
        ensure!(!command.contains(" start ") && !command.contains("backup.sh"), "{check}");
    }
    Ok(())
}
