//! Where a run is reported to. A mistake here is a warning: no backup or restore depends on it.

use super::Resolver;
use crate::settings::{self, SECRET_VARIABLES};
use pipe_kit::warning;
use url::Url;

impl Resolver<'_> {
    pub fn notifications(&mut self) {
        if let Some(file) = self.take("METRICS_FILE") {
            self.export("METRICS_FILE", self.deployment.path_text(&file));
        }
        for key in ["NOTIFY_PING", "NOTIFY_URL"] {
            match self.secret(key) {
                Ok(Some(secret)) if is_web_url(&secret.value) => self.export(key, secret.value),
                Ok(Some(_)) => {
                    warning!("{key} is not an http:// or https:// URL, so nothing is sent to it");
                }
                Ok(None) => {}
                Err(error) => warning!("{error:#}; nothing is sent to {key}"),
            }
        }
    }

    /// Names the variables whose values must not leave this host.
    pub fn name_secrets(&mut self) {
        let exported = self.out.exports.iter().map(|(name, _)| *name);
        let is_secret = |name: &&str| {
            SECRET_VARIABLES.contains(name) || settings::find(name).is_some_and(|s| s.secret)
        };
        let names: Vec<_> = exported.filter(is_secret).collect();
        self.export("PIPRIO_SECRETS", names.join(" "));
    }
}

/// `{run}` in it stands for the kind of a run.
fn is_web_url(text: &str) -> bool {
    let url = Url::parse(&text.replace("{run}", "run"));
    url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::Deployment;
    use crate::layers::layers;
    use crate::resolve::{Resolved, resolve};
    use std::os::unix::fs::PermissionsExt;

    /// What is resolved of settings, for a deployment whose driver names no services.
    fn resolved(file: &[(&str, &str)]) -> Resolved {
        let dir = tempfile::tempdir().unwrap();
        let driver = dir.path().join("driver");
        std::fs::write(&driver, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&driver, PermissionsExt::from_mode(0o755)).unwrap();
        let mut file = file.to_vec();
        file.push(("SERVICE_DRIVER", "./driver"));
        resolve(&Deployment::at(dir.path()).unwrap(), &layers(&[], &file)).unwrap()
    }

    #[test]
    fn every_variable_with_a_secret_setting_in_it_is_named() {
        let file = [
            ("POSTGRES_HOST", "db.example.com"),
            ("POSTGRES_PASSWORD", "planted-1"),
            ("S3_ACCESS_KEY", "planted-2"),
            ("S3_SECRET_KEY", "planted-3"),
            ("AWS_SESSION_TOKEN", "planted-4"),
            ("NOTIFY_PING", "https://h/planted-5/{run}"),
            ("NOTIFY_URL", "https://h/planted-6"),
            ("SHIP_1", "s3://offsite"),
            ("SHIP_1_ACCESS_KEY", "planted-7"),
            ("SHIP_1_SECRET_KEY", "planted-8"),
        ];
        let resolved = resolved(&file);
        let named = resolved.exports.iter().find(|(name, _)| *name == "PIPRIO_SECRETS");
        let named: Vec<&str> = named.unwrap().1.split(' ').collect();
        let holding = resolved.exports.iter().filter(|(_, value)| value.contains("planted"));
        let holding: Vec<&str> = holding.map(|(name, _)| *name).collect();
        assert_eq!(holding, named);
        assert_eq!(named.len(), SECRET_VARIABLES.len() + 2);
    }

    #[test]
    fn what_is_no_url_is_left_out_and_stops_nothing() {
        for wrong in ["hunter2", "ftp://h/x", "http://", "/path"] {
            let resolved = resolved(&[("NOTIFY_URL", wrong), ("NOTIFY_PING_FILE", "/none")]);
            assert!(resolved.exports.iter().all(|(name, _)| !name.starts_with("NOTIFY_")));
        }
    }
}
