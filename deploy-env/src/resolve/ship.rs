//! Where sealed copies of bundles go. Only paths are completed here, and no file is read: a copy that cannot be made
//! must not keep a backup from being made.

use super::Resolver;
use crate::secret;
use crate::settings::{self, DESTINATIONS};
use anyhow::Result;
use pipe_kit::Stop;

/// Which copies are kept, and the least that each may be.
const KEEP: [(&str, u32); 5] = [
    ("SHIP_KEEP_DAYS", 1),
    ("SHIP_KEEP_DAILY", 0),
    ("SHIP_KEEP_WEEKLY", 0),
    ("SHIP_KEEP_MONTHLY", 0),
    ("SHIP_KEEP_YEARLY", 0),
];

impl Resolver<'_> {
    pub(super) fn ship(&mut self) -> Result<()> {
        let ships = settings::yes_or_no("BACKUP_SHIP", &self.required("BACKUP_SHIP")?)?;
        self.export("BACKUP_SHIP", ships.to_owned());
        if let Some(recipients) = self.take("SHIP_RECIPIENTS") {
            let is_key = recipients.starts_with("gpg:");
            let file = || self.deployment.path_text(&recipients);
            let value = if is_key { recipients.clone() } else { file() };
            self.export("SHIP_RECIPIENTS", value);
        }
        for (key, least) in KEEP {
            let Some(text) = self.take(key) else { continue };
            if !text.parse::<u32>().is_ok_and(|number| number >= least) {
                let message = format!("{key} must be a whole number, {least} or more");
                return Err(Stop::usage(message).into());
            }
            self.export(key, text);
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

    /// The value of a destination's setting as the tools read it.
    fn destination_value(&self, key: &str, value: String) -> String {
        let is_place = DESTINATIONS.iter().any(|destination| destination[0].key == key);
        match () {
            () if key.ends_with("_KEY_FILE") => {
                secret::locate(self.deployment, &value).to_string_lossy().into_owned()
            }
            () if key.ends_with("_CA_BUNDLE") || (is_place && !value.contains(':')) => {
                self.deployment.path_text(&value)
            }
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
            ("SHIP_4_ENDPOINT", "http://of.no.destination"),
        ])
        .unwrap();
        let shown: Vec<String> =
            found.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected = [
            "BACKUP_SHIP=yes",
            "SHIP_RECIPIENTS=/backup.pub",
            "SHIP_1=s3://offsite/host",
            "SHIP_1_SECRET_KEY_FILE=/secrets/ship",
            "SHIP_1_RETAIN_DAYS=30",
            "SHIP_3=/copies",
        ];
        assert_eq!(shown, expected);
        let gpg = exports(&[("SHIP_RECIPIENTS", "gpg:0123")]).unwrap();
        assert!(gpg.contains(&("SHIP_RECIPIENTS", "gpg:0123".into())));
        for wrong in [("BACKUP_SHIP", "maybe"), ("SHIP_KEEP_DAYS", "0"), ("SHIP_KEEP_DAILY", "x")] {
            assert!(exports(&[wrong]).is_err(), "{wrong:?}");
        }
    }
}
