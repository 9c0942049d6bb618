//! A key is encrypted for only where the keyring confirms whose it is: by gpg's own output for programs.

use crate::kit::{Bench, end};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

impl Bench {
    /// A key of somebody else's, made in a keyring of its own and brought here: its fingerprint.
    fn stranger(&self, name: &str, expires: &str) -> String {
        let theirs = format!("{name}-keyring");
        fs::create_dir(self.path(&theirs)).unwrap();
        fs::set_permissions(self.path(&theirs), fs::Permissions::from_mode(0o700)).unwrap();
        let gpg = |arguments: &str| {
            self.sh(&format!("gpg --homedir {theirs} --batch --quiet --no-tty {arguments}"));
        };
        let uid = format!("{name}@example.org");
        gpg(&format!(
            "--pinentry-mode loopback --passphrase '' --quick-gen-key {uid} future-default default {expires}"
        ));
        if name == "revoked" {
            // The certificate that gpg makes beside a key is disarmed by a colon.
            self.sh(&format!("sed 's/^:---/---/' {theirs}/openpgp-revocs.d/*.rev > revocation"));
            gpg("--import revocation");
        }
        gpg(&format!("--export > {name}.key"));
        self.sh(&format!("gpgconf --homedir {theirs} --kill all"));
        self.gpg(&["--import", &format!("{name}.key")]);
        let list = ["--batch", "--with-colons", "--list-keys", &uid];
        let list = end(&mut self.command("gpg", &list)).with(0).text();
        let fingerprint = list.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap();
        fingerprint.split(':').find(|field| !field.is_empty()).unwrap().to_owned()
    }

    fn own_key(&self) {
        let key = ["--passphrase", "", "--quick-gen-key", "own@example.org", "future-default"];
        self.gpg(&[&key[..], &["default", "never"]].concat());
    }

    /// Refused before a byte was written, without a question.
    #[track_caller]
    fn refuses(&self, key: &str, why: &str) -> String {
        let began = Instant::now();
        let ended =
            self.seal(&["--gpg", "-r", key]).with(5).reports(why).reports("nothing was written");
        assert_eq!(ended.out.len(), 0);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        assert!(began.elapsed() < Duration::from_secs(30));
        ended.err.trim().to_owned()
    }
}

#[test]
fn a_key_that_is_not_trusted_is_refused_until_it_is_signed() {
    let bench = Bench::new();
    bench.own_key();
    let key = bench.stranger("offsite", "never");
    let message = bench.refuses("offsite@example.org", "is not trusted by this keyring");
    assert!(message.ends_with(&format!("then: gpg --lsign-key {key}")), "{message}");
    bench.refuses(&key, "is not trusted by this keyring");
    // Nor beside one that is trusted, nor because gpg.conf trusts everything.
    let both = ["--gpg", "-r", "own@example.org", "-r", &key];
    assert_eq!(bench.seal(&both).with(5).out.len(), 0);
    fs::write(bench.path("keyring/gpg.conf"), "trust-model always\n").unwrap();
    bench.refuses(&key, "is not trusted by this keyring");
    // Neither on a terminal, where gpg would ask.
    let scripts = test_kit::tools::workspace().join("scripts");
    let bundle = bench.bundle();
    let line = format!(
        "bash {}/seal.sh {} --gpg -r {key} > asked; echo status $?",
        scripts.display(),
        bundle.display()
    );
    let mut command = bench.command("timeout", &["60", "script", "-qec", &line, "/dev/null"]);
    let message = end(command.stdin(Stdio::piped())).with(0).text();
    assert!(message.contains("status 5") && !message.contains("(y/N)"), "{message}");
    assert_eq!(fs::metadata(bench.path("asked")).unwrap().len(), 0);

    bench.gpg(&["--yes", "--passphrase", "", "--quick-lsign-key", &key]);
    bench.write("sealed", &bench.seal(&["--gpg", "-r", &key]).with(0).out);
    assert!(fs::metadata(bench.path("sealed")).unwrap().len() > 300_000);
}

#[test]
fn without_a_key_of_ones_own_the_command_gives_trust_without_signing() {
    let bench = Bench::new();
    let key = bench.stranger("offsite", "never");
    let message = bench.refuses("offsite@example.org", "is not trusted by this keyring");
    let command = message.split_once("then: ").unwrap().1;
    assert_eq!(command, format!("echo {key}:6: | gpg --import-ownertrust"));
    bench.sh(&format!("{command} 2>/dev/null"));
    bench.seal(&["--gpg", "-r", "offsite@example.org"]).with(0);
}

#[test]
fn a_key_that_has_expired_or_was_revoked_is_refused_with_its_reason() {
    let bench = Bench::new();
    bench.own_key();
    let revoked = bench.stranger("revoked", "never");
    bench.refuses("revoked@example.org", "was revoked");
    bench.refuses(&revoked, &format!("the key {revoked} of {revoked} was revoked"));
    let expired = bench.stranger("expired", "seconds=1");
    let list = ["--batch", "--with-colons", "--list-keys", &expired];
    test_kit::process::wait_until("the key to expire", || {
        Ok(end(&mut bench.command("gpg", &list)).text().contains("pub:e:"))
    })
    .unwrap();
    bench.refuses("expired@example.org", "expired on 20");
    bench.refuses(&expired, "expired on 20");
    let disabled = bench.stranger("disabled", "never");
    bench.sh(&format!("printf 'disable\\nsave\\n' | gpg --command-fd 0 --batch --quiet --no-tty --edit-key {disabled} 2>/dev/null"));
    bench.refuses(
        &disabled,
        &format!("is disabled in this keyring; gpg --edit-key {disabled} enable save"),
    );
}

#[test]
fn a_key_that_cannot_encrypt_is_refused() {
    let bench = Bench::new();
    let key =
        ["--passphrase", "", "--quick-gen-key", "signer@example.org", "ed25519", "sign", "never"];
    bench.gpg(&key);
    bench.refuses("signer@example.org", "has no part that can encrypt");
}
