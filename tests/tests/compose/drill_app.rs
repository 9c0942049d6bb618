//! A drill of the services beside the deployment that they are of: it restores them, reaches nothing else,
//! and leaves nothing.

use crate::kit::{CREDENTIAL, Deploy, Host, image, random};
use anyhow::{Context, Result, ensure};
use bundle_format::report::{DrillCheck, DrillVerdict};
use drill_run::app::{self, AppRequest, Plan};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use test_kit::deployment::{run, sh};
use test_kit::product::http;

const ALL: [&str; 8] =
    ["api", "migrate", "minio", "postgres", "redis", "scheduler", "web", "worker"];
/// How long a drill may take to come to a moment.
const PATIENCE: Duration = Duration::from_secs(600);
/// The variable by which a test starts this program again, to drill in a process of its own.
const ASKED: &str = "PIPRIO_TEST_DRILL_APP";

/// A drill to be run.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Asked {
    deploy: PathBuf,
    bundle: PathBuf,
    dir: PathBuf,
    project: String,
    keep: bool,
}

/// A project, all of which is gone when this is dropped.
pub struct Project(pub String);

impl Project {
    pub fn new() -> Self {
        Self(format!("piprio-drill-test-{}", &random()[..8]))
    }

    /// Ids and names of its containers, volumes and networks.
    pub fn left(&self) -> Result<String> {
        let (label, name) = (format!("label=piprio.drill={}", self.0), format!("name={}", self.0));
        let list = |filter: &str| {
            format!(
                "docker ps -aq --filter {filter}; docker volume ls -q --filter {filter};
                 docker network ls -q --filter {filter};"
            )
        };
        sh(Path::new("/"), &(list(&label) + &list(&name)))
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let filter = format!("--filter label=piprio.drill={}", self.0);
        let script = format!(
            "docker ps -aq {filter} | xargs -r docker rm -fv
             docker volume ls -q {filter} | xargs -r docker volume rm
             docker volume ls -q --filter name={}_ | xargs -r docker volume rm
             docker network ls -q {filter} | xargs -r docker network rm",
            self.0
        );
        if let Err(error) = sh(Path::new("/"), &script) {
            eprintln!("taking down: {error:#}");
        }
    }
}

/// The directory of a drill, and its project.
struct Drill<'a> {
    asked: Asked,
    first: Deploy<'a>,
    project: Project,
}

impl<'a> Drill<'a> {
    fn new(first: Deploy<'a>, bundle: &Path, keep: bool) -> Result<Self> {
        let dir = first.host.dir().join(format!("drill-{}", random()));
        std::fs::create_dir(&dir)?;
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o700))?;
        let project = Project::new();
        let (deploy, bundle) = (first.dir.clone(), bundle.to_owned());
        let asked = Asked { deploy, bundle, dir, project: project.0.clone(), keep };
        Ok(Self { asked, first, project })
    }

    /// The drill in a process of its own, with the deployment's settings resolved in its environment.
    fn command(&self) -> Result<Command> {
        let mut command = self.first.host.command(self.first.file("bin/deploy-env"));
        command.arg("--").arg(std::env::current_exe()?);
        command.args(["--exact", "drill_app::a_drill_in_a_process_of_its_own", "--nocapture"]);
        command.env(ASKED, serde_json::to_string(&self.asked)?).stdin(Stdio::null());
        Ok(command)
    }

    fn run(&self) -> Result<Vec<DrillCheck>> {
        let ended = run(self.command()?, "")?.expect(0);
        println!("{}", ended.stderr);
        let line = ended.stdout.lines().find_map(|line| line.split_once("CHECKS "));
        Ok(serde_json::from_str(line.context("the checks")?.1)?)
    }

    fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.asked.dir).unwrap().count() == 0
    }

    /// A service's only container in the drill.
    fn container(&self, service: &str) -> Result<String> {
        let ask = format!(
            "docker ps -q --filter label=piprio.drill={} --filter label=com.docker.compose.service={service}",
            self.asked.project
        );
        let id = sh(self.first.host.dir(), &ask)?.trim().to_owned();
        ensure!(!id.is_empty() && !id.contains('\n'), "{service} has these containers: {id}");
        Ok(id)
    }

    /// Whether a program in the drill's container of the API connects to an address within seconds.
    fn connects(&self, address: &str) -> Result<bool> {
        let (host, port) = address.rsplit_once(':').context("HOST:PORT")?;
        let line = format!(
            "docker exec {} timeout 5 bash -c '</dev/tcp/{host}/{port}' 2>/dev/null && echo yes || echo no",
            self.container("api")?
        );
        Ok(sh(self.first.host.dir(), &line)? == "yes\n")
    }

    /// What the drill's application has, through the address of its web service.
    fn report(&self, path: &str) -> Result<String> {
        let mut command = self.first.driver_command(&["addr", "web", "8080"]);
        command.env("PIPRIO_DEPLOY", self.asked.dir.join("deploy"));
        let address = run(command, "")?.expect(0).stdout;
        let answer = http::ask("GET", &format!("http://{}{path}", address.trim()), b"")?;
        Ok(String::from_utf8(answer.body)?)
    }
}

/// No test by itself: the others start it.
#[test]
fn a_drill_in_a_process_of_its_own() -> Result<()> {
    let Ok(asked) = std::env::var(ASKED) else { return Ok(()) };
    let asked: Asked = serde_json::from_str(&asked)?;
    let plan = Plan {
        from: &asked.deploy,
        bundle: &asked.bundle,
        dir: &asked.dir,
        project: &asked.project,
        data_keys: &["credential_encryption_key".to_owned()],
        skip: &[],
        driver: &asked.deploy.join("scripts/drivers/compose"),
        bytes: 1 << 20,
    };
    let found = app::run(&AppRequest {
        plan,
        scripts: &asked.deploy.join("drill.d/app"),
        wait_seconds: 60,
        keep: asked.keep,
    })?;
    println!("\nCHECKS {}", serde_json::to_string(&found)?);
    Ok(())
}

/// The customer's deployment with what a drill must not take: a migration, data in a directory, and
/// settings that reach every container.
fn product(host: &Host) -> Result<Deploy<'_>> {
    let deploy = Deploy::product(host, "deploy")?;
    let image = image().context("an image")?;
    let more = format!(
        "version: '3.8'\nservices:\n  \
         migrate: {{image: '{image}', command: [bash, -c, 'echo run >> /uploads/migrated'], labels: {{piprio.test: compose}}, \
         networks: [private], volumes: ['./uploads:/uploads']}}\n  \
         api: {{env_file: .env, container_name: piprio-test-api, volumes: ['./uploads:/uploads', './motd:/motd:ro'], \
         depends_on: {{migrate: {{condition: service_completed_successfully}}}}, \
         extra_hosts: ['outside:192.0.2.1'], cap_add: [NET_ADMIN]}}\n"
    );
    std::fs::write(deploy.file("docker-compose.override.yml"), more)?;
    std::fs::write(deploy.file("motd"), "welcome\n")?;
    deploy.set("SMTP_PASSWORD=planted-smtp-password\nSMTP_URL=smtp://u:planted%2Durl%2Dpassword@mail.example.com:25")?;
    deploy.set("NOTIFY_URL=https://hooks.example.com/planted-hook\nSESSION_SECRET=\"planted session secret\"")?;
    deploy.set("HEALTH_MAX_LATENCY_MS=60000")?;
    std::fs::create_dir_all(deploy.file("drill.d/app"))?;
    std::fs::write(
        deploy.file("drill.d/app/1-web.sh"),
        "set -euo pipefail\n[[ $DRILL_URLS == \"web=$DRILL_URL_WEB\" && -f $DRILL_CONFIG/.env && -d $DRILL_BUNDLE ]]\n\
         at=${DRILL_URL_WEB#http://}\nexec 3<>\"/dev/tcp/${at%:*}/${at#*:}\"\n\
         printf 'GET /ready HTTP/1.0\\r\\n\\r\\n' >&3\nhead -n 1 <&3 | grep ' 200 '\n[[ -z ${POSTGRES_HOST:-} ]]\n",
    )?;
    std::fs::write(deploy.file("drill.d/app/2-wrong.sh"), "echo 'no such tenant'; exit 3\n")?;
    deploy.up()?;
    deploy.fill()?;
    Ok(deploy)
}

/// Everything of production that a drill could change.
fn production(first: &Deploy<'_>) -> Result<String> {
    let mut text = first.started(&ALL)?;
    text += &sh(
        &first.dir,
        "docker volume ls --filter label=piprio.test=compose --format '{{.Name}}' | sort",
    )?;
    text += &sh(
        &first.dir,
        "docker network ls --filter label=piprio.test=compose --format '{{.ID}} {{.Name}}' | sort",
    )?;
    text += &sh(&first.dir, "docker image ls -q --no-trunc | sort -u")?;
    text += &sh(
        &first.dir,
        "find . -path ./backups -prune -o -type f -print | sort | xargs sha256sum",
    )?;
    Ok(text + &first.state()?)
}

fn found<'c>(checks: &'c [DrillCheck], name: &str) -> &'c DrillCheck {
    checks
        .iter()
        .find(|check| check.check == name)
        .unwrap_or_else(|| panic!("{name} in {checks:#?}"))
}

#[test]
fn the_services_of_a_bundle_run_apart_and_production_is_as_before() -> Result<()> {
    if image().is_none() {
        return Ok(());
    }
    let host = Host::new();
    let first = product(&host)?;
    let bundle = first.backup()?;
    let at_backup = first.state()?;
    first.report("POST", "/documents", "newer than the bundle")?;
    first.wait_for_the_worker()?;
    let before = production(&first)?;
    let root = std::fs::File::open(first.file("backups/.lock"))?;
    let own = std::fs::File::open(first.file(".restore/lock"))?;
    // As a backup does that runs meanwhile.
    root.lock()?;
    own.lock()?;

    let drill = Drill::new(host.existing("deploy"), &bundle, true)?;
    let checks = drill.run()?;
    report_is_as_it_should_be(&checks);
    drop((root, own));
    assert_eq!(production(&first)?, before);

    assert_eq!(drill.report("/credentials/sftp")?, CREDENTIAL);
    let listed = drill.report("/documents")?;
    assert!(at_backup.starts_with(&listed) && listed.lines().count() == 12, "{listed}");
    for id in listed.lines().filter_map(|line| line.split(' ').next()) {
        let own = format!("\n{id} {}", drill.report(&format!("/documents/{id}"))?);
        assert!(at_backup.contains(&own), "{own}");
    }
    nothing_of_production_is_known(&drill)?;
    nothing_outside_is_reached(&drill)?;

    app::remove_leftover(&drill.asked.dir)?;
    assert_eq!(drill.project.left()?, "");
    assert!(drill.is_empty());
    assert_eq!(production(&first)?, before);

    Ok(())
}

fn report_is_as_it_should_be(checks: &[DrillCheck]) {
    use DrillVerdict::{Finding, Note, Pass};
    println!("{checks:#?}");
    for (name, verdict, words) in [
        ("secrets", Pass, "data keys: secrets/credential_encryption_key"),
        ("one-shots", Pass, "migrate"),
        ("parts of services left out", Note, "an empty volume in place of"),
        ("restore", Pass, "complete"),
        ("network", Pass, "piprio-drill-test-"),
        ("published ports", Pass, "none of 7 containers"),
        ("rights", Pass, "7 containers"),
        ("writable paths", Pass, "7 containers"),
        ("route to the outside", Pass, "none in 7 containers"),
        ("service api", Pass, "running"),
        ("database piprio", Pass, ""),
        ("readiness web", Pass, "200"),
        ("storage documents", Pass, ""),
        ("drill.d/app/1-web.sh", Pass, "200"),
        ("drill.d/app/2-wrong.sh", Finding, "status 3: no such tenant"),
    ] {
        let it = found(checks, name);
        assert!(it.verdict == verdict && it.found.contains(words), "{it:?}");
    }
    let text = serde_json::to_string(checks).unwrap();
    assert!(!text.contains("planted"), "{text}");
    let bad = checks.iter().filter(|it| !matches!(it.verdict, Pass | Note));
    assert_eq!(bad.count(), 1);
}

/// Neither in a container's environment, nor in the files that it has.
fn nothing_of_production_is_known(drill: &Drill<'_>) -> Result<()> {
    let first = &drill.first;
    let env = std::fs::read_to_string(first.file(".env"))?;
    let redis =
        env.lines().find_map(|line| line.strip_prefix("REDIS_PASSWORD=")).context("a password")?;
    let mut secrets =
        ["planted", "planted-url-password", "planted%2Durl"].map(str::to_owned).to_vec();
    secrets.push(redis.to_owned());
    for name in ["postgres_password", "s3_access_key", "s3_secret_key"] {
        secrets.push(std::fs::read_to_string(first.file(&format!("secrets/{name}")))?);
    }
    let own = drill.asked.dir.join("deploy");
    let ids = format!("$(docker ps -q --filter label=piprio.drill={})", drill.asked.project);
    let inspected = sh(&own, &format!("docker inspect {ids}"))?;
    let files = sh(&own, "cat .env compose.drill.yml secrets/postgres_password secrets/s3_*")?;
    for secret in &secrets {
        assert!(!inspected.contains(secret) && !files.contains(secret), "{secret}");
    }
    assert!(inspected.contains("SMTP_PASSWORD=") && files.contains("SESSION_SECRET="));
    let key = |dir: &Path| std::fs::read(dir.join("secrets/credential_encryption_key"));
    assert_eq!(key(&own)?, key(&first.dir)?);
    assert_eq!(sh(&own, "stat -c '%a' .")?, "700\n");
    Ok(())
}

fn nothing_outside_is_reached(drill: &Drill<'_>) -> Result<()> {
    let first = &drill.first;
    // It can reach what it should.
    assert!(drill.connects("redis:6379")? && drill.connects("minio:9000")?);
    let of = |service: &str, port: u16| -> Result<String> {
        Ok(first.driver(&["addr", service, &port.to_string()]).expect(0).stdout.trim().to_owned())
    };
    let ask =
        |format: &str| sh(&first.dir, &format!("docker network inspect -f '{format}' deploy_edge"));
    let gateway = ask("{{(index .IPAM.Config 0).Gateway}}")?;
    let web = ask("{{range .Containers}}{{.IPv4Address}}{{end}}")?;
    let web = format!("{}:8080", web.split('/').next().unwrap_or_default());
    let published = of("web", 8080)?;
    let host = sh(&first.dir, "hostname -I 2>/dev/null || true")?;
    let port = published.rsplit_once(':').context("a port")?.1.to_owned();
    let mut outside = vec![of("redis", 6379)?, of("minio", 9000)?, web, "192.0.2.1:80".into()];
    outside.push(format!("{}:{port}", gateway.trim()));
    outside.extend(
        host.split_whitespace().filter(|it| !it.contains(':')).map(|it| format!("{it}:{port}")),
    );
    // The drill's own network has an address of this host; nothing of production listens there.
    for address in &outside {
        assert!(!drill.connects(address)?, "{address} is reached from the drill");
    }
    assert!(!drill.connects("outside:80")? && !drill.connects("piprio.example.com:443")?);
    let refused = sh(
        &first.dir,
        &format!(
            "docker exec {} bash -c '</dev/tcp/192.0.2.1/80' 2>&1 || true",
            drill.container("api")?
        ),
    )?;
    assert!(refused.contains("No route to host"), "{refused}");
    Ok(())
}

#[test]
fn a_drill_leaves_nothing_and_one_that_is_killed_only_what_the_next_removes() -> Result<()> {
    if image().is_none() {
        return Ok(());
    }
    let host = Host::new();
    let first = product(&host)?;
    let bundle = first.backup()?;
    let before = production(&first)?;
    // As soon as there is a network, and the last of the services.
    for moment in [
        "docker network ls -q --filter label=piprio.drill=@",
        "docker ps -q --filter label=piprio.drill=@ --filter label=com.docker.compose.service=api",
    ] {
        let drill = Drill::new(host.existing("deploy"), &bundle, false)?;
        let list = moment.replace('@', &drill.asked.project);
        let mut command = drill.command()?;
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let begun = Instant::now();
        while sh(host.dir(), &list)?.is_empty() && child.try_wait()?.is_none() {
            ensure!(begun.elapsed() < PATIENCE, "waited for {moment}");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(child.try_wait()?.is_none(), "the drill ended before it was killed");
        child.kill()?;
        child.wait()?;
        assert!(!drill.is_empty());
        app::remove_leftover(&drill.asked.dir)?;
        // Nor a process that would bring some of it back.
        let dir = drill.asked.dir.display().to_string();
        let environments = "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' || true";
        assert!(!sh(host.dir(), environments)?.contains(&dir));
        assert_eq!(drill.project.left()?, "", "after {moment}");
        assert!(drill.is_empty());
        app::remove_leftover(&drill.asked.dir)?;
        assert_eq!(production(&first)?, before);
    }
    // Without a kill and without anybody who looks at it, it removes itself.
    let drill = Drill::new(host.existing("deploy"), &bundle, false)?;
    report_is_as_it_should_be(&drill.run()?);
    assert_eq!(drill.project.left()?, "");
    assert!(drill.is_empty());
    assert_eq!(production(&first)?, before);
    Ok(())
}
