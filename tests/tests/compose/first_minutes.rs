//! From the package to a verified bundle: what an operator types on a Debian with nothing on it but an engine and the
//! deployment.

use crate::kit::{Deploy, Host};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use test_kit::deployment::{Run, clean, run, sh};
use test_kit::tools::{bin_dir, workspace};

/// How long all commands of a machine may take together.
const LIMIT: Duration = Duration::from_secs(180);

/// A machine: a container of a release of Debian, with the engine's client. Gone when dropped.
struct Machine {
    id: String,
}

impl Machine {
    fn start(host: &Host, image: &str, package: &Path) -> Result<Self> {
        let (client, plugin) = (engine_client(&host.path)?, compose_plugin(host)?);
        let mut docker = clean("docker");
        docker.args(["run", "-d", "--network", "host", "--label", "piprio.test=compose"]);
        for mount in [
            format!("{}:/usr/bin/docker:ro", client.display()),
            format!("{}:/usr/libexec/docker/cli-plugins/docker-compose:ro", plugin.display()),
            "/var/run/docker.sock:/var/run/docker.sock".to_owned(),
            format!("{0}:{0}", host.dir().display()),
            format!("{}:/root/package:ro", package.display()),
        ] {
            docker.args(["-v", &mount]);
        }
        docker.args([image, "sleep", "infinity"]);
        Ok(Self { id: run(docker, "")?.expect(0).stdout.trim().to_owned() })
    }

    fn typed(&self, line: &str, limit: Duration) -> Result<Run> {
        let mut docker = clean("timeout");
        docker.args(["--kill-after=5", &limit.as_secs().to_string()]);
        docker.args(["docker", "exec", "-w", "/root", &self.id, "bash", "-c", line]);
        run(docker, "")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = sh("/".as_ref(), &format!("docker rm -f {}", self.id)) {
            eprintln!("removing a machine: {error:#}");
        }
    }
}

/// The program itself, not a script that chooses a plugin for it.
fn engine_client(path: &str) -> Result<PathBuf> {
    let is_program =
        |file: &PathBuf| std::fs::read(file).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF"));
    let mut files = std::env::split_paths(path).map(|dir| dir.join("docker"));
    files.find(is_program).context("the engine's client")
}

fn compose_plugin(host: &Host) -> Result<PathBuf> {
    const ASK: &str =
        "{{range .ClientInfo.Plugins}}{{if eq .Name \"compose\"}}{{.Path}}{{end}}{{end}}";
    let mut docker = host.command("docker");
    docker.args(["info", "-f", ASK]);
    Ok(PathBuf::from(run(docker, "")?.expect(0).stdout.trim()))
}

/// An image of the release with nothing added.
fn image_of(suite: &str) -> Result<Option<String>> {
    let mut make = clean(workspace().join("scripts/machine-roots.sh"));
    make.arg(suite);
    let made = run(make, "")?;
    if made.status == 75 {
        test_kit::skipped!("Debian {suite} cannot be had: {}", made.stderr);
        return Ok(None);
    }
    let image = format!("piprio-test-bare:{suite}");
    let mut import = clean("docker");
    import.args(["import", "--change", "LABEL piprio.test=image"]);
    import.arg(made.expect(0).stdout.trim()).arg(&image);
    run(import, "")?.expect(0);
    Ok(Some(image))
}

/// The packages of a release where `PIPRIO_TEST_PACKAGES` names their directory, else of this build.
fn packages(out: PathBuf) -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("PIPRIO_TEST_PACKAGES") {
        return Ok(dir.into());
    }
    let mut make = clean(workspace().join("scripts/package.sh"));
    make.arg("--program").arg(bin_dir()?.join("piprio-backup")).arg("--out").arg(&out);
    // A source tree without git has no date of its own.
    make.env("SOURCE_DATE_EPOCH", "1790000000");
    run(make, "")?.expect(0);
    Ok(out)
}

const DEB: &[&str] = &[
    "apt-get update",
    "DEBIAN_FRONTEND=noninteractive apt-get install -y ./package/piprio-backup_*_amd64.deb",
];
const TARBALL: &[&str] =
    &["tar -xzf package/piprio-backup-*-x86_64.tar.gz -C /usr/local --strip-components=1"];

/// Types what docs/INSTALL.md names, and prints how long it took.
fn install_and_back_up(machine: &Machine, suite: &str, way: &[&str], deploy: &Path) -> Result<()> {
    let deploy = deploy.display();
    let commands = [
        format!("piprio-backup install --yes {deploy}"),
        format!("piprio-backup --deploy {deploy} backup"),
        format!("piprio-backup bundle-manifest verify {deploy}/backups/piprio_*"),
    ];
    let commands: Vec<String> = way.iter().map(|&line| line.to_owned()).chain(commands).collect();
    ensure!(commands.len() <= 5, "{commands:?}");
    let begin = Instant::now();
    let mut row = format!("Debian {suite}, {}:", way[way.len() - 1]);
    for command in &commands {
        let rest = LIMIT.saturating_sub(begin.elapsed());
        let typed = machine.typed(command, rest)?;
        if typed.status == 124 || rest.is_zero() {
            bail!("{command}: {} seconds are over; {row}", LIMIT.as_secs());
        }
        let typed = typed.expect(0);
        println!("{suite}$ {command}\n{}{}", typed.stdout, typed.stderr);
        row += &format!(" {:.0}", begin.elapsed().as_secs_f64());
    }
    println!("{row} s after each command");
    Ok(())
}

#[test]
fn a_bare_debian_has_a_verified_bundle_after_five_commands() -> Result<()> {
    let Some(host) = Host::with_product()? else { return Ok(()) };
    if !host.has_plugin() {
        test_kit::skipped!(
            "Compose is no plugin here, and its first version needs more than a bare Debian has"
        );
        return Ok(());
    }
    let deploy = host.existing("deploy");
    let out = host.dir().join("package");
    let out = packages(out)?;
    for (suite, way) in [("bookworm", DEB), ("trixie", DEB), ("trixie", TARBALL)] {
        let Some(image) = image_of(suite)? else { continue };
        // As before any toolkit.
        sh(&deploy.dir, "rm -rf bin scripts backups .gitignore .restore")?;
        let machine = Machine::start(&host, &image, &out)?;
        install_and_back_up(&machine, suite, way, &deploy.dir)?;
        finds_what_is_there(&machine, &deploy)?;
    }
    Ok(())
}

/// Without an answer nothing is written; what the deployment lacks is named.
fn finds_what_is_there(machine: &Machine, deploy: &Deploy<'_>) -> Result<()> {
    let dir = deploy.dir.display();
    let typed = |line: String| machine.typed(&line, LIMIT);
    sh(
        &deploy.dir,
        "rm -r bin scripts && sed '/^PIPRIO_DOMAIN/d' .env > without && cp .env before",
    )?;
    sh(&deploy.dir, "cp without .env")?;
    let asked = typed(format!("piprio-backup install {dir}"))?.expect(5);
    for found in ["database  postgres", "storage   minio", "cache     redis", "PIPRIO_DOMAIN"] {
        ensure!(asked.stdout.contains(found), "{found}: {}", asked.stdout);
    }
    ensure!(!deploy.file("bin").exists(), "installed without an answer");
    ensure!(sh(&deploy.dir, "cmp without .env && ls -d scripts || true")?.is_empty());
    typed(format!("piprio-backup install --yes --set PIPRIO_DOMAIN=piprio.example.com {dir}"))?
        .expect(0);
    let domain = typed(format!("{dir}/bin/deploy-env get PIPRIO_DOMAIN"))?.expect(0).stdout;
    ensure!(domain == "piprio.example.com\n", "{domain}");
    let listed = typed(format!("bash {dir}/scripts/restore.sh"))?.expect(0).stdout;
    ensure!(listed.contains("intact"), "{listed}");
    sh(&deploy.dir, "mv before .env && rm without")?;
    Ok(())
}
