//! Mistakes that an operator makes, each with what `doctor` answers.

/// One mistake.
pub struct Mistake {
    /// Makes it, as a script in the deployment.
    pub make: &'static str,
    /// The name of its line.
    pub name: &'static str,
    /// A part of what is found.
    pub found: &'static str,
    /// What an operator's editor does, or what stands for the words in capitals.
    pub with: &'static str,
    /// The beginning of the command.
    pub command: &'static str,
}

pub const MISTAKES: [Mistake; 19] = [
    Mistake {
        make: "echo 'export BACKUP_KEEP_DAY=7' >> .env",
        name: "settings",
        found: "BACKUP_KEEP_DAY is no setting; it is probably BACKUP_KEEP_DAYS",
        with: "",
        command: "sed -i ",
    },
    Mistake {
        make: "printf '%s\\n' BACKUP_KEEP_DAYS=7 BACKUP_KEEP_DAY=8 >> .env",
        name: "settings",
        found: "BACKUP_KEEP_DAY is no setting; it is probably BACKUP_KEEP_DAYS",
        with: "sed -i /^BACKUP_KEEP_DAY=/d",
        command: "${EDITOR:-vi} ",
    },
    Mistake {
        make: "chmod 644 .env",
        name: "access .env",
        found: "every user can read",
        with: "",
        command: "chmod o-rwx ",
    },
    Mistake {
        make: "chmod 755 secrets && chmod 644 secrets/signing_key",
        name: "access secrets",
        found: "secrets/signing_key",
        with: "",
        command: "chmod o-rwx ",
    },
    Mistake {
        make: "chmod 777 bin/pg-snap",
        name: "access programs",
        found: "bin/pg-snap",
        with: "",
        command: "chmod -R go-w ",
    },
    Mistake {
        make: "rm \"$DESTDIR/etc/cron.d/piprio-backup\"",
        name: "schedule",
        found: "no backup of this deployment is scheduled",
        with: "",
        command: "scripts/install.sh --cron ",
    },
    Mistake {
        make: "cp \"$OUTSIDE/key\" secrets/backup.key",
        name: "keys",
        found: "secrets/backup.key is a secret key that opens the copies",
        // What the line asks for once a copy was decrypted elsewhere.
        with: "rm",
        command: "scp ",
    },
    Mistake {
        make: "mv certs/backup.pub \"$OUTSIDE/backup.pub\"",
        name: "recipients",
        found: "SHIP_RECIPIENTS: ",
        with: "mv \"$OUTSIDE/backup.pub\" certs/backup.pub; true",
        command: "${EDITOR:-vi} ",
    },
    Mistake {
        make: "echo age1typo >> certs/backup.pub",
        name: "recipients",
        found: "SHIP_RECIPIENTS: ",
        with: "sed -i /^age1typo/d certs/backup.pub; true",
        command: "${EDITOR:-vi} ",
    },
    Mistake {
        make: r#"printf '{"%s/copies":"%s"}' "$OUTSIDE" "$OUTSIDE" > .restore/ship/mounts.json"#,
        name: "copies SHIP_1",
        found: "was on a disk that was mounted at",
        with: "",
        command: "mount ",
    },
    Mistake {
        make: "echo 'SHIP_2=s3:offsite' >> .env",
        name: "copies SHIP_2",
        found: "it is neither s3://BUCKET[/PREFIX]",
        with: "sed -i /^SHIP_2=/d",
        command: "${EDITOR:-vi} ",
    },
    Mistake {
        make: "sed -i 's/^POSTGRES_PORT=/POSTGRES_PORT=1 # /' .env",
        name: "database piprio",
        found: "POSTGRES_PORT",
        with: "sed -i 's/^POSTGRES_PORT=1 # /POSTGRES_PORT=/'",
        command: "${EDITOR:-vi} ",
    },
    Mistake {
        make: "sed -i 's/^S3_BUCKET=.*/S3_BUCKET=docments/' .env",
        name: "storage docments",
        found: "S3_BUCKET",
        with: "sed -i s/docments/documents/",
        command: "${EDITOR:-vi} ",
    },
    Mistake {
        make: "sed -i 's/^POSTGRES_USER=.*/POSTGRES_USER=reader/' .env",
        name: "database restore",
        found: "the role reader may not create databases",
        with: "",
        command: "psql -U postgres -h 127.0.0.1 ",
    },
    Mistake {
        make: "sed -i 's/^POSTGRES_USER=.*/POSTGRES_USER=creator/' .env",
        name: "database dump",
        found: "the role creator may not read",
        with: "",
        command: "psql -U postgres -h 127.0.0.1 ",
    },
    Mistake {
        make: "chmod 757 .",
        name: "access programs",
        found: "users other than the owner can replace what is in",
        with: "",
        command: "chmod ",
    },
    Mistake {
        make: "bin/deploy-env -- sh -c '\"$PIPRIO_DRIVER\" stop worker'",
        name: "service worker",
        found: "stopped",
        with: "",
        command: "",
    },
    Mistake {
        make: "cd backups && mv piprio_* piprio_20260101T000000Z",
        name: "bundle newest",
        found: "more than 26 h",
        with: "",
        command: "bash ",
    },
    Mistake {
        make: "touch .unsynchronized",
        name: "clock",
        found: "not synchronized",
        with: "",
        command: "timedatectl set-ntp true",
    },
];
