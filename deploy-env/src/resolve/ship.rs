//! Where copies of bundles go. Only paths are completed here, no file is read, and a value that is wrong stops nothing:
//! a copy that cannot be made must not keep a backup or a restore from being made. `ship-run` refuses it.

use super::Resolver;
use crate::secret;
use crate::settings::{self, DESTINATIONS};
use anyhow::Result;
use pipe_kit::warning;

/// How long a shipment may take, and which copies are kept.
const AS_THEY_ARE: [&str; 6] = [
    "SHIP_TIMEOUT_HOURS",
    "SHIP_KEEP_DAYS",
    "SHIP_KEEP_DAILY",
    "SHIP_KEEP_WEEKLY",
    "SHIP_KEEP_MONTHLY",
    "SHIP_KEEP_YEARLY",
];

impl Resolver<'_> {
    pub(super) fn ship(&mut self) -> Result<()> {
        self.warn_of_unknown();
        let ships = self.required("BACKUP_SHIP")?;
        let ships = settings::yes_or_no("BACKUP_SHIP", &ships).unwrap_or_else(|error| {
            warning!("{error}; bundles are copied all the same");
            "yes"
        });
        self.export("BACKUP_SHIP", ships.to_owned());
        if let Some(recipients) = self.take("SHIP_RECIPIENTS") {
            let is_key = recipients.starts_with("gpg:");
            let file = || self.deployment.path_text(&recipients);
            let value = if is_key { recipients.clone() } else { file() };
            self.export("SHIP_RECIPIENTS", value);
        }
        for key in AS_THEY_ARE {
            if let Some(text) = self.take(key) {
                self.export(key, text);
            }
        }
        for destination in DESTINATIONS {
            if self.layers.get(destination[0].key).is_none() {
                continue;
            }
            for setting in destination {
                let Some(value) = self.take(setting.key) else { continue };
                let value = self.destination_value(setting.key, value);
                self.export(setting.key, value);
            }
        }
        Ok(())
    }

    /// A misspelt setting would be one that is not there.
    fn warn_of_unknown(&self) {
        for name in self.layers.file.keys().filter(|name| settings::is_of_copies(name)) {
            if settings::find(name).is_none() {
                warning!("{name} of the .env is no setting, and has no effect");
            }
        }
    }

    /// The value of a destination's setting as the tools read it.
    fn destination_value(&self, key: &str, value: String) -> String {
        let is_place = DESTINATIONS.iter().any(|destination| destination[0].key == key);
        match () {
            () if key.ends_with("_KEY_FILE") || key.ends_with("_PASSWORD_FILE") => {
                secret::locate(self.deployment, &value).to_string_lossy().into_owned()
            }
            () if key.ends_with("_CA_BUNDLE") || (is_place && !value.contains(':')) => {
                self.deployment.path_text(&value)
            }
            () if is_place => match value.strip_prefix("restic:") {
                // A path, and no kind of server.
                Some(path) if !path.contains(':') => {
                    format!("restic:{}", self.deployment.path_text(path))
                }
                _ => value,
            },
            () => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::deployment::Deployment;
    use crate::layers::layers;
    use crate::resolve::{Resolved, Resolver};

    fn exports(file: &[(&str, &str)]) -> anyhow::Result<Vec<(&'static str, String)>> {
        let deployment = Deployment::at("/".as_ref())?;
        let layers = layers(&[], file);
        let out = Resolved::default();
        let mut resolver =
            Resolver { deployment: &deployment, layers: &layers, assumed: None, out };
        resolver.ship()?;
        Ok(resolver.out.exports)
    }

    #[test]
    fn paths_are_completed_and_nothing_else_is() {
        let found = exports(&[
            ("SHIP_RECIPIENTS", "backup.pub"),
            ("SHIP_1", "s3://offsite/host"),
            ("SHIP_1_SECRET_KEY_FILE", "/run/secrets/ship"),
            ("SHIP_1_RETAIN_DAYS", "30"),
            ("SHIP_3", "copies"),
            ("SHIP_5", "restic:copies"),
            ("SHIP_5_PASSWORD_FILE", "/run/secrets/restic"),
            ("SHIP_6", "restic:s3:https://h/b"),
            ("SHIP_4_ENDPOINT", "http://of.no.destination"),
        ])
        .unwrap();
        let shown: Vec<String> =
            found.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected = [
            "BACKUP_SHIP=yes",
            "SHIP_RECIPIENTS=/backup.pub",
            "SHIP_TIMEOUT_HOURS=24",
            "SHIP_1=s3://offsite/host",
            "SHIP_1_SECRET_KEY_FILE=/secrets/ship",
            "SHIP_1_RETAIN_DAYS=30",
            "SHIP_3=/copies",
            "SHIP_5=restic:/copies",
            "SHIP_5_PASSWORD_FILE=/secrets/restic",
            "SHIP_6=restic:s3:https://h/b",
        ];
        assert_eq!(shown, expected);
        let gpg = exports(&[("SHIP_RECIPIENTS", "gpg:0123")]).unwrap();
        assert!(gpg.contains(&("SHIP_RECIPIENTS", "gpg:0123".into())));
        // No backup and no restore depends on it.
        let wrong =
            [("BACKUP_SHIP", "maybe"), ("SHIP_TIMEOUT_HOURS", "x"), ("SHIP_KEEP_DAYS", "0")];
        let kept =
            wrong.map(|(key, value)| (key, if value == "maybe" { "yes" } else { value }.into()));
        assert_eq!(exports(&wrong).unwrap(), kept);
    }
}
