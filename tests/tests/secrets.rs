//! No secret in a command line, a log, a report, or a file that is not meant to hold it: whole runs,
//! good ones and failing ones, searched for planted values.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use test_kit::deployment::{DOMAIN, Deployment, Options, Run};
use test_kit::tool;
use test_kit::tools::workspace;
use test_kit::trace::{self, Traced};

const TOKEN: &str = "planted-token-55913";
const OLD_TOKEN: &str = "planted-token-20876";
const FILE: &str = "planted-file-content-71402";
const OLD_FILE: &str = "planted-file-content-38665";

/// A deployment, and every text that must not be seen.
struct Planted {
    deployment: Deployment,
    secrets: Vec<String>,
}

impl Planted {
    fn new() -> Result<Self> {
        let deployment = Deployment::temporary(&Options::default())?;
        let facts = deployment.facts();
        let mut secrets: Vec<String> = [
            &facts.postgres_password,
            &facts.s3_access_key,
            &facts.s3_secret_key,
            &facts.redis_password,
            TOKEN,
            OLD_TOKEN,
            FILE,
            OLD_FILE,
        ]
        .map(str::to_owned)
        .into();
        let key = std::fs::read_to_string(deployment.dir().join("secrets/signing_key"))?;
        secrets.push(key.trim().to_owned());
        // As a URL and as a libpq string spell them.
        let encoded = |s: &String| url::form_urlencoded::byte_serialize(s.as_bytes()).collect();
        let escaped = |s: &String| s.replace('\'', "\\'");
        let spelt: Vec<String> = secrets
            .iter()
            .flat_map(|s| {
                let encoded: String = encoded(s);
                [encoded.replace('+', "%20"), encoded, escaped(s)]
            })
            .collect();
        secrets.extend(spelt);
        let planted = Self { deployment, secrets };
        planted.plant(TOKEN, FILE)?;
        Ok(planted)
    }

    /// Puts a token into `.env` and a secret into `secrets/`, instead of those before.
    fn plant(&self, token: &str, file: &str) -> Result<()> {
        self.set("NEW_API_TOKEN", token)?;
        Ok(std::fs::write(self.deployment.dir().join("secrets/planted"), file)?)
    }

    fn set(&self, key: &str, value: &str) -> Result<()> {
        let path = self.deployment.dir().join(".env");
        let text = std::fs::read_to_string(&path)?;
        let others: String =
            text.lines().filter(|l| !l.starts_with(key)).map(|l| format!("{l}\n")).collect();
        Ok(std::fs::write(path, format!("{others}{key}={value}\n"))?)
    }

    #[track_caller]
    fn is_clean(&self, what: &str, text: &str) {
        for secret in &self.secrets {
            if let Some(line) = text.lines().find(|line| line.contains(secret.as_str())) {
                panic!("{what} holds the secret {secret:?}: {line}");
            }
        }
    }

    #[track_caller]
    fn run_is_clean(&self, what: &str, run: &Run) {
        self.is_clean(&format!("{what}: stdout"), &run.stdout);
        self.is_clean(&format!("{what}: stderr"), &run.stderr);
    }

    /// Every text file below a directory, or the file itself.
    fn files_are_clean(&self, path: &Path) -> Result<()> {
        for entry in walkdir::WalkDir::new(path) {
            let entry = entry?;
            if entry.file_type().is_file() {
                let bytes = std::fs::read(entry.path())?;
                let name = entry.path().display().to_string();
                self.is_clean(&name, &String::from_utf8_lossy(&bytes));
            }
        }
        Ok(())
    }

    fn traced(&self, script: &str, arguments: &[&str]) -> Result<Run> {
        let command = self.deployment.script(script, arguments);
        let Traced { run, trace } = trace::run(&command, &["-e", "trace=execve", "-s", "100000"])?;
        let run = run.expect(0);
        let programs = trace::calls(&trace).iter().filter(|call| call.is_done()).count();
        ensure!(programs > 5, "{script}: no trace of what was run: {trace}");
        self.is_clean(&format!("a command line of {script}"), &trace);
        self.run_is_clean(script, &run);
        Ok(run)
    }
}

#[test]
fn no_command_line_log_or_list_of_a_good_run_holds_a_secret() -> Result<()> {
    if let Some(why) = trace::why_not()? {
        test_kit::skipped!("{why}");
        return Ok(());
    }
    let planted = Planted::new()?;
    let deployment = &planted.deployment;
    planted.traced("backup.sh", &[])?;
    let bundle = deployment.newest_bundle()?;
    for part in ["MANIFEST.txt", "SHA256SUMS", "minio/.obj-mirror/index.jsonl"] {
        planted.files_are_clean(&bundle.join(part))?;
    }
    let name = bundle.to_str().context("a path")?;
    // What differs is shown, masked.
    planted.plant(OLD_TOKEN, OLD_FILE)?;
    let confirmed = [name, "--confirm", DOMAIN, "--config", "yes", "--force-config"];
    let rehearsal = [&confirmed[..], &["--dry-run"]].concat();
    planted.traced("restore.sh", &rehearsal)?;
    let run = planted.traced("restore.sh", &confirmed)?;
    ensure!(run.stderr.contains("NEW_API_TOKEN"), "no difference was shown: {}", run.stderr);
    planted.files_are_clean(&deployment.dir().join(".restore"))?;
    planted.traced("health-check.sh", &[])?;
    planted.traced("health-check.sh", &["--json"])?;
    for (tool, arguments) in [
        ("bundle-manifest", &["verify", "--json", name][..]),
        ("bundle-manifest", &["list", "--json", "backups"]),
        ("bundle-prune", &["--json", "backups"]),
        ("pg-snap", &["status", "--json"]),
        ("obj-mirror", &["status", "--json", "s3://documents"]),
    ] {
        let out = deployment.stage(tool, arguments).output()?;
        ensure!(out.status.success(), "{tool}: {}", String::from_utf8_lossy(&out.stderr));
        planted.is_clean(tool, &String::from_utf8_lossy(&[out.stdout, out.stderr].concat()));
    }
    Ok(())
}

#[test]
fn a_diff_shows_the_settings_that_are_no_secret_and_hides_all_others() -> Result<()> {
    let table = std::fs::read_to_string(workspace().join("deploy-env/src/settings.rs"))?;
    let keys_after = |mark: &str| -> Vec<String> {
        let keys = table.lines().filter_map(|line| line.trim().strip_prefix(mark)?.split_once('"'));
        keys.map(|(key, _)| key.to_owned()).collect()
    };
    let (mut plain, mut secret) = (keys_after("plain(\""), keys_after("secret(\""));
    // The settings of each destination, which the table has once.
    let of_nine = |mark: &str| -> Vec<String> {
        let suffixes = keys_after(mark);
        let of = |n: u8| suffixes.iter().map(move |suffix| format!("SHIP_{n}{suffix}"));
        (1..=9).flat_map(of).collect()
    };
    plain.extend((1..=9).map(|n| format!("SHIP_{n}")));
    plain.extend(of_nine("plain(concat!($name, \""));
    secret.extend(of_nine("secret(concat!($name, \""));
    ensure!(
        plain.contains(&"SHIP_9_MAX_RATE".into()) && secret.contains(&"SHIP_1_SECRET_KEY".into())
    );
    ensure!(plain.len() > 40 && secret.len() > 5, "{plain:?} {secret:?}");
    let dir = tempfile::tempdir()?;
    let cfg_pack = |verb: &str| {
        let mut command = Command::new(tool("cfg-pack"));
        command.args([verb, "--root"]).arg(dir.path()).arg(".env");
        command
    };
    let write_env = |value: &str| {
        let keys = plain.iter().chain(&secret).map(String::as_str).chain(["ANY_OTHER"]);
        let lines: String = keys.map(|key| format!("{key}={value}\n")).collect();
        std::fs::write(dir.path().join(".env"), lines)
    };
    write_env("archived")?;
    let archive = dir.path().join("config.tar.gz");
    ensure!(cfg_pack("create").stdout(std::fs::File::create(&archive)?).status()?.success());
    write_env("current")?;
    let out = cfg_pack("diff").stdin(std::fs::File::open(&archive)?).output()?;
    let diff = String::from_utf8(out.stdout)?;
    let has = |line: String| diff.lines().any(|l| l == line);
    for key in &plain {
        ensure!(has(format!("-{key}=current")) && has(format!("+{key}=archived")), "{key}: {diff}");
    }
    for key in secret.iter().map(String::as_str).chain(["ANY_OTHER"]) {
        let (old, new) = (format!("-{key}=*** (differs)"), format!("+{key}=*** (differs)"));
        ensure!(has(old) && has(new), "{key}: {diff}");
    }
    Ok(())
}

#[test]
fn a_trace_would_show_a_secret_that_is_an_argument() -> Result<()> {
    if let Some(why) = trace::why_not()? {
        test_kit::skipped!("{why}");
        return Ok(());
    }
    let mut command = Command::new("/usr/bin/env");
    command.args(["bash", "-c", "sleep 0; env true \"$1\"", "-", TOKEN]);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let Traced { run, trace } = trace::run(&command, &["-e", "trace=execve", "-s", "100000"])?;
    run.expect(0);
    ensure!(trace.contains(TOKEN), "{trace}");
    Ok(())
}

#[test]
fn what_a_failing_run_says_and_leaves_holds_no_secret() -> Result<()> {
    let planted = Planted::new()?;
    let deployment = &planted.deployment;
    deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    let everything_fails = |what: &str| -> Result<()> {
        let backup = deployment.backup(&[])?;
        let health = deployment.health_check()?;
        let restore = deployment.restore(&bundle, &["--config", "yes"], &format!("{DOMAIN}\n"))?;
        for (script, run) in [("backup", &backup), ("restore", &restore), ("health", &health)] {
            planted.run_is_clean(&format!("{what}: {script}"), run);
        }
        ensure!(health.status != 0, "{what} is not noticed");
        planted.files_are_clean(&deployment.dir().join(".restore"))
    };
    for secret in ["postgres_password", "s3_secret_key", "s3_access_key"] {
        let path = deployment.dir().join("secrets").join(secret);
        let right = std::fs::read(&path)?;
        std::fs::write(&path, format!("{FILE}-wrong"))?;
        everything_fails(&format!("a wrong {secret}"))?;
        std::fs::write(&path, right)?;
    }
    let env = deployment.dir().join(".env");
    let right = std::fs::read(&env)?;
    planted.set(
        "REDIS_URL",
        &format!("redis://:{FILE}@127.0.0.1:{}/3", deployment.facts().redis_port),
    )?;
    everything_fails("a wrong password of the cache")?;
    planted.set("REDIS_URL", &format!("redis://:{FILE}@127.0.0.1:not-a-port/3"))?;
    everything_fails("a malformed URL of the cache")?;
    planted.set("S3_ENDPOINT", &format!("http://user:{FILE}@127.0.0.1:1"))?;
    everything_fails("a storage URL with a password and nobody behind it")?;
    std::fs::write(&env, &right)?;
    deployment.stop(&["redis"])?;
    everything_fails("a dead cache")?;
    deployment.stop(&["postgres", "minio"])?;
    everything_fails("nothing that answers")
}
