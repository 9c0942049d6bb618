//! Keys of gpg: one that gpg does not encrypt for is a finding, and no command takes a key away.

use crate::{Sound, check_of, findings};
use anyhow::{Result, bail, ensure};

/// Ends the agents of the keyrings, which outlive who asked them.
struct Agents<'a>(&'a Sound);

impl Drop for Agents<'_> {
    fn drop(&mut self) {
        let _ = self
            .0
            .sh("for dir in \"$OUTSIDE\"/*keyring; do gpgconf --homedir \"$dir\" --kill all; done");
    }
}

#[test]
fn a_key_must_be_trusted_and_its_secret_half_is_kept_until_the_operator_removes_it() -> Result<()> {
    let sound = Sound::new()?;
    sound.sh("sed -i 's/^SHIP_RECIPIENTS=.*/SHIP_RECIPIENTS=gpg:backup@example.org/' .env")?;
    let (status, report) = sound.doctor()?;
    let (of_key, _, command) = check_of(&report, "recipients");
    assert_eq!((status, of_key, command), (Some(1), "finding", "gpg --import FILE"));
    ensure!(!sound.keyring().exists(), "a keyring was made");

    let _agents = Agents(&sound);
    sound.sh("cd \"$OUTSIDE\"; mkdir -m 0700 keyring their-keyring
         gpg=\"gpg --homedir their-keyring --batch --quiet --no-tty --pinentry-mode loopback\"
         $gpg --passphrase '' --quick-gen-key backup@example.org future-default default never
         $gpg --export > public.gpg; $gpg --export-secret-keys > secret.gpg
         gpg --batch --quiet --import public.gpg")?;
    let (_, report) = sound.doctor()?;
    let (of_key, found, command) = check_of(&report, "recipients");
    assert_eq!((of_key, command), ("finding", "gpg --list-keys backup@example.org"));
    ensure!(found.starts_with("gpg does not encrypt for backup@example.org: "), "{found}");

    sound.sh(
        "cd \"$OUTSIDE\"
         gpg --batch --list-keys --with-colons | awk -F: '$1 == \"fpr\" { print $10 \":6:\"; exit }' |
             gpg --batch --quiet --import-ownertrust",
    )?;
    sound.ensure_sound("the key is trusted")?;
    sound.sh("echo 'group offsite = backup@example.org' > \"$GNUPGHOME/gpg.conf\"
        sed -i 's/^SHIP_RECIPIENTS=.*/SHIP_RECIPIENTS=gpg:offsite/' .env")?;
    sound.ensure_sound("a group of gpg.conf has the key")?;
    sound.sh("sed -i 's/^SHIP_RECIPIENTS=.*/SHIP_RECIPIENTS=gpg:backup@example.org/' .env")?;

    sound.sh("cd \"$OUTSIDE\"; gpg --batch --quiet --import secret.gpg")?;
    let (_, report) = sound.doctor()?;
    let [finding] = &findings(&report)[..] else { bail!("{:#?}", findings(&report)) };
    let (found, command) = (finding["found"].as_str().unwrap(), finding["command"].as_str());
    ensure!(found.contains("the secret key of backup@example.org"), "{found}");
    let command = command.unwrap();
    sound.sh(&format!(
        "scp() {{ cp \"$1\" \"$OUTSIDE/${{2#*:}}.elsewhere\"; }}
         cd \"$OUTSIDE\"; {command}
         gpg --batch --list-secret-keys backup@example.org
         gpg --batch --list-packets secret-key-backup@example.org.gpg.elsewhere | grep -q 'secret key packet'"
    ))
}
