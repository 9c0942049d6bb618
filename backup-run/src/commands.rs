//! The exact command of every stage.

use crate::bundle::Bundle;
use crate::settings::Settings;
use crate::stage::Stage;
use pipe_kit::beside::without_bar;
use pipe_kit::tool::Tool;
use std::path::{Path, PathBuf};

/// What the commands are made of.
pub struct Commands<'a> {
    pub settings: &'a Settings,
    pub bundle: &'a Bundle,
    /// The mirror that unchanged objects are linked from.
    pub link: Option<PathBuf>,
}

impl Commands<'_> {
    /// The command of a stage, or why the stage has none.
    pub fn of(&self, stage: Stage) -> Result<Tool, String> {
        let Self { settings, bundle, .. } = self;
        let partial = &bundle.partial;
        let manifest = |verb: &str| Tool::new("bundle-manifest").arg(verb);
        let tool = match stage {
            Stage::Database => {
                let level = settings.level.iter().flat_map(|level| ["--level", level]);
                let tool = Tool::new("pg-snap").arg("dump").args(level);
                tool.output(&partial.join("database.sql.gz"))
            }
            // What was deleted from the bucket since the first pass is not in the bundle either.
            Stage::Objects => match self.mirror() {
                Some(tool) => tool.arg("--delete"),
                None => {
                    let reason = &settings.storage_reason;
                    return Err(format!("the object storage is external ({reason})"));
                }
            },
            Stage::Config => Tool::new("cfg-pack")
                .args(["create", "--root"])
                .arg(&settings.deploy)
                .args([".env", "--optional", "secrets", "--optional", "certs"])
                .output(&partial.join("config.tar.gz")),
            Stage::Manifest => {
                manifest("describe").arg(partial).output(&partial.join("MANIFEST.txt"))
            }
            Stage::Seal => manifest("sums").arg(partial).output(&partial.join("SHA256SUMS")),
            Stage::Publish => manifest("publish").arg(partial),
            Stage::Alarm => manifest("alarm")
                .args(settings.accept.then_some("--accept"))
                .args(["--shrink-percent", &settings.shrink_percent])
                .arg(&bundle.path),
            Stage::Prune if settings.safety_backup => {
                return Err("a safety backup removes no older bundle".into());
            }
            Stage::Prune => Tool::new("bundle-prune")
                .args(["--domain", &settings.domain, "--record"])
                .arg(settings.state_dir().join("retention.json"))
                .args(["--keep-days", &settings.keep_days])
                .args(by_calendar(settings))
                .arg(&bundle.root),
        };
        Ok(tool.inherit_input())
    }
}

impl Commands<'_> {
    /// The command that mirrors the objects beside the dump, where they are mirrored.
    pub fn first_pass(&self) -> Option<Tool> {
        Some(without_bar(self.mirror()?))
    }

    fn mirror(&self) -> Option<Tool> {
        let Self { settings, bundle, link } = self;
        let bucket = settings.bucket.as_ref()?;
        let link = link.iter().flat_map(|mirror| ["--link-dest".as_ref(), mirror.as_os_str()]);
        let tool = Tool::new("obj-mirror").args(link);
        Some(tool.arg(format!("s3://{bucket}")).arg(bundle.partial.join("minio")))
    }
}

/// The rules that keep anything, so that the command shows no others.
fn by_calendar(settings: &Settings) -> impl Iterator<Item = &str> {
    let rules = settings.keep_by_calendar.iter().filter(|(_, number)| number != "0");
    rules.flat_map(|(option, number)| [*option, number.as_str()])
}

/// The command that copies a finished bundle to other places.
pub fn copying(settings: &Settings, bundle: &Path) -> Option<Tool> {
    if !settings.ships || settings.safety_backup {
        return None;
    }
    let prune = settings.prunes_copies.then_some("--prune");
    Some(Tool::new("ship-run").args(prune).arg(bundle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            deploy: "/d".into(),
            root: "/r".into(),
            domain: "piprio.example".into(),
            bucket: Some("documents".into()),
            storage_reason: "OBJECT_STORAGE says so".into(),
            keep_days: "30".into(),
            shrink_percent: "50".into(),
            ..Settings::default()
        }
    }

    fn shown(settings: &Settings, link: Option<&str>) -> Vec<String> {
        let now = chrono::DateTime::from_timestamp(1_776_736_800, 0).unwrap();
        let bundle = Bundle::at(Path::new("/r"), now);
        let commands = Commands { settings, bundle: &bundle, link: link.map(PathBuf::from) };
        let line = |stage| commands.of(stage).map_or_else(|why| why, |tool| tool.to_shell());
        Stage::ALL.map(line).to_vec()
    }

    #[test]
    fn every_stage_has_its_command() {
        let partial = "/r/.piprio_20260421T020000Z.partial";
        let expected = [
            format!("pg-snap dump > {partial}/database.sql.gz"),
            format!("obj-mirror s3://documents {partial}/minio --delete"),
            format!(
                "cfg-pack create --root /d .env --optional secrets --optional certs > {partial}/config.tar.gz"
            ),
            format!("bundle-manifest describe {partial} > {partial}/MANIFEST.txt"),
            format!("bundle-manifest sums {partial} > {partial}/SHA256SUMS"),
            format!("bundle-manifest publish {partial}"),
            "bundle-manifest alarm --shrink-percent 50 /r/piprio_20260421T020000Z".into(),
            "bundle-prune --domain piprio.example --record /d/.restore/retention.json --keep-days 30 /r"
                .into(),
        ];
        assert_eq!(shown(&settings(), None), expected);
    }

    #[test]
    fn a_bundle_is_copied_where_a_destination_is_set_and_never_for_a_restore() {
        let bundle = Bundle::at(Path::new("/r"), chrono::DateTime::UNIX_EPOCH);
        let shown = |settings: &Settings| {
            copying(settings, &bundle.path).map(|tool| tool.to_shell()).unwrap_or_default()
        };
        let ships = Settings { ships: true, ..settings() };
        assert_eq!(shown(&settings()), "");
        assert_eq!(shown(&ships), "ship-run /r/piprio_19700101T000000Z");
        let prunes = Settings { prunes_copies: true, ..ships.clone() };
        assert_eq!(shown(&prunes), "ship-run --prune /r/piprio_19700101T000000Z");
        assert_eq!(shown(&Settings { safety_backup: true, ..ships }), "");
    }

    #[test]
    fn options_and_settings_change_the_command_that_they_are_about() {
        let at = |settings: Settings, stage: Stage| {
            shown(&settings, Some("/r/a/minio"))[stage as usize].clone()
        };
        let linked = at(settings(), Stage::Objects);
        assert!(
            linked.starts_with("obj-mirror --link-dest /r/a/minio s3://documents "),
            "{linked}"
        );
        let external = at(Settings { bucket: None, ..settings() }, Stage::Objects);
        assert_eq!(external, "the object storage is external (OBJECT_STORAGE says so)");
        let fast = at(Settings { level: Some("fast".into()), ..settings() }, Stage::Database);
        assert!(fast.starts_with("pg-snap dump --level fast > "), "{fast}");
        let accepted = at(Settings { accept: true, ..settings() }, Stage::Alarm);
        assert!(
            accepted.starts_with("bundle-manifest alarm --accept --shrink-percent"),
            "{accepted}"
        );
        let keep = vec![("--keep-daily", "7".to_owned()), ("--keep-weekly", "0".to_owned())];
        let kept = at(Settings { keep_by_calendar: keep, ..settings() }, Stage::Prune);
        assert!(kept.ends_with(" --keep-days 30 --keep-daily 7 /r"), "{kept}");
        let safety = at(Settings { safety_backup: true, ..settings() }, Stage::Prune);
        assert_eq!(safety, "a safety backup removes no older bundle");
    }
}
