//! No secret in any payload, metric or record: programs that print all that they know, in every kind of run.

use crate::hooks::write_hook;
use crate::metrics::measured;
use crate::{ANSWERS, replace};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use test_kit::deployment::{Deployment, sh};
use test_kit::receiver::{Manner, Receiver, Request, lines};
use walkdir::WalkDir;

/// Below `secrets/`, and what is in it.
const FILES: [(&str, &str); 3] = [
    ("planted", "planted/file+one"),
    ("keys/nested", "planted nested two\n"),
    (
        "keys/many.pem",
        "-----BEGIN X-----\nplanted-line-three\nplanted-line-four\n-----END X-----\n",
    ),
];

/// Prints every setting and the files, also as a part of a URL; and that it has done so.
const LEAK: &str = r"env >&2
cat secrets/planted secrets/keys/nested secrets/keys/many.pem secrets/signing_key >&2
cat secrets/postgres_password secrets/s3_access_key secrets/s3_secret_key >&2
echo 'x=planted%2Ffile%2Bone' >&2
echo leaked >&2";

/// Every text that must not be seen.
fn secrets(deployment: &Deployment) -> Result<BTreeSet<String>> {
    let facts = deployment.facts();
    let mut secrets: BTreeSet<String> = [
        &facts.postgres_password,
        &facts.redis_password,
        &facts.s3_access_key,
        &facts.s3_secret_key,
    ]
    .into_iter()
    .cloned()
    .collect();
    secrets.extend(["/planted-ping", "/planted-url"].map(str::to_owned));
    let lines = FILES.iter().flat_map(|(_, text)| text.lines()).filter(|l| l.contains("planted"));
    secrets.extend(lines.map(str::to_owned));
    let key = std::fs::read_to_string(deployment.dir().join("secrets/signing_key"))?;
    secrets.insert(key.trim().to_owned());
    let encoded = |secret: &String| -> String {
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()
    };
    let spelt: Vec<_> =
        secrets.iter().map(encoded).flat_map(|text| [text.replace('+', "%20"), text]).collect();
    secrets.extend(spelt);
    Ok(secrets)
}

struct Leaky {
    deployment: Deployment,
    metrics: PathBuf,
    receiver: Receiver,
    secrets: BTreeSet<String>,
    /// How many requests have come.
    seen: usize,
}

impl Leaky {
    fn new() -> Result<Self> {
        let receiver = Receiver::start(Manner::Status(200))?;
        let address = receiver.address();
        let (deployment, metrics) = measured(&format!(
            "\nNOTIFY_PING=http://{address}/planted-ping/{{run}}\nNOTIFY_URL=http://{address}/planted-url\n"
        ))?;
        for (name, text) in FILES {
            let path = deployment.dir().join("secrets").join(name);
            let mut private = std::fs::DirBuilder::new();
            private.recursive(true).mode(0o700).create(path.parent().unwrap_or(&path))?;
            std::fs::write(path, text)?;
        }
        for kind in ["backup", "restore", "drill"] {
            for when in ["before", "after", "failed"] {
                write_hook(&deployment, &format!("{when}-{kind}.d/1"), LEAK)?;
            }
        }
        let secrets = secrets(&deployment)?;
        Ok(Self { deployment, metrics, receiver, secrets, seen: 0 })
    }

    fn is_clean(&self, what: &str, text: &str) -> Result<()> {
        let secret = self.secrets.iter().find(|secret| text.contains(secret.as_str()));
        ensure!(secret.is_none(), "{secret:?} is in {what}:\n{text}");
        Ok(())
    }

    fn files_are_clean(&self, dir: &Path) -> Result<usize> {
        let mut count = 0;
        for entry in WalkDir::new(dir) {
            let path = entry?.into_path();
            if path.is_file() {
                let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
                self.is_clean(&path.display().to_string(), &text)?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// All that was sent and recorded since the last call; the requests, of which one has what was leaked, masked.
    fn check(&mut self, what: &str) -> Result<Vec<Request>> {
        let requests = self.receiver.take();
        for Request { line, head, body } in &requests {
            self.is_clean(&format!("{what}: {line}"), &format!("{}\n{body}", head.join("\n")))?;
        }
        let is_leak = |r: &&Request| r.body.contains("\nleaked\n");
        let leak = requests.iter().find(is_leak);
        let masked = leak.map(|request| request.body.matches("***").count());
        ensure!(masked.is_some_and(|count| count >= 10), "{what} has leaked nothing: {leak:?}");
        for dir in [".restore", "metrics", ".drills"].map(|dir| self.deployment.dir().join(dir)) {
            let count = if dir.exists() { self.files_are_clean(&dir)? } else { 0 };
            ensure!(count > 0 || dir.ends_with(".drills"), "nothing in {}", dir.display());
        }
        ensure!(self.metrics.exists());
        self.seen += requests.len();
        Ok(requests)
    }
}

#[test]
fn no_payload_metric_or_record_has_a_secret() -> Result<()> {
    let mut leaky = Leaky::new()?;
    leaky.deployment.backup(&[])?.expect(0);
    leaky.check("a backup")?;
    let bundle = leaky.deployment.newest_bundle()?;

    // The reason of a failure is in a message.
    for leaking in [
        "echo \"the password $PGPASSWORD of $REDIS_URL is wrong\" >&2; exit 1",
        "cat secrets/keys/nested >&2; exit 1",
    ] {
        let replaced = replace(&leaky.deployment, "pg-snap", leaking)?;
        leaky.deployment.backup(&[])?.expect(1);
        leaky.deployment.restore(&bundle, &[], ANSWERS)?;
        replaced.put_back()?;
        let sent = leaky.check("a failure")?;
        let failures = lines(&sent).iter().filter(|line| **line == "POST /planted-url").count();
        assert_eq!(failures, 2);
    }
    let name = leaky.deployment.dir().join("secrets/postgres_password");
    let right = std::fs::read(&name)?;
    std::fs::write(&name, "planted/file+one\n")?;
    leaky.deployment.backup(&[])?.expect(1);
    std::fs::write(&name, right)?;
    leaky.check("a wrong password")?;
    leaky.deployment.backup(&[])?.expect(0);
    leaky.check("a recovery")?;

    leaky.deployment.restore(&bundle, &[], ANSWERS)?.expect(0);
    leaky.check("a restore")?;

    let checks = leaky.deployment.dir().join("drill.d");
    std::fs::DirBuilder::new().mode(0o700).create(&checks)?;
    std::fs::write(
        checks.join("leaks.sh"),
        format!("cd '{}'\n{LEAK}\nexit 1\n", leaky.deployment.dir().display()),
    )?;
    sh(&checks, "chmod go-w *")?;
    leaky.deployment.run_script("drill.sh", &[], "")?.expect(1);
    leaky.check("a drill")?;
    ensure!(leaky.seen > 15, "{} requests", leaky.seen);
    Ok(())
}
