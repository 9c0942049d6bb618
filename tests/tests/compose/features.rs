//! Compose files and containers of other makes: what Compose's second version reads, an engine at another address, and
//! images with little in them.

use crate::contract::{SLEEPS, service, with_each, yaml};
use crate::kit::{Deploy, Host, composes, image, random};
use anyhow::{Context, Result};
use std::os::unix::fs::symlink;
use std::path::Path;
use test_kit::deployment::{run, sh};

#[test]
fn included_and_extended_services_and_values_from_everywhere_are_composes_own() -> Result<()> {
    let Some(image) = image() else { return Ok(()) };
    let Some((_, path)) = composes().into_iter().find(|(name, _)| *name == "docker compose") else {
        test_kit::skipped!("Compose is not a plugin of the engine's client here");
        return Ok(());
    };
    let mut host = Host::new();
    host.path = path;
    let deploy = host.deploy("my-app.v2", "");
    std::fs::remove_file(deploy.file("docker-compose.yml"))?;
    std::fs::create_dir(deploy.file("more"))?;
    std::fs::write(deploy.file("more/compose.yaml"), yaml(&[service("worker", SLEEPS, "")]))?;
    std::fs::write(deploy.file("base.yaml"), yaml(&[service("base", SLEEPS, "")]))?;
    std::fs::write(deploy.file("one.env"), "COLOUR=red\nSHAPE=round\n")?;
    std::fs::write(deploy.file("two.env"), "COLOUR=blue\n")?;
    std::fs::write(
        deploy.file("compose.yaml"),
        "include: [more/compose.yaml]
services:
  api:
    extends: {file: base.yaml, service: base}
    env_file: [one.env, two.env]
    configs: [settings]
    secrets: [key]
  debug:
    extends: {file: base.yaml, service: base}
    profiles: [debug]
configs: {settings: {content: 'a: 1'}}
secrets: {key: {environment: API_KEY}}
",
    )?;
    std::fs::write(
        deploy.file("two.yaml"),
        format!(
            "services:\n  late: {{image: '{image}', command: [sleep, '1000'], labels: {{piprio.test: compose}}}}\n"
        ),
    )?;
    deploy.set("COMPOSE_FILE=compose.yaml:two.yaml\nAPI_KEY=from the environment")?;
    assert_eq!(deploy.ps(), "api stopped\nlate stopped\nworker stopped\n");
    deploy.driver(&["start", "api", "late", "worker"]).expect(0);
    assert_eq!(deploy.ps(), "api running\nlate running\nworker running\n");
    let inside = "echo $COLOUR $SHAPE; cat /settings; echo; cat /run/secrets/key; echo";
    let printed = deploy.driver(&["exec", "api", "sh", "-c", inside]).expect(0).stdout;
    assert_eq!(printed, "blue round\na: 1\nfrom the environment\n");
    let names = sh(&deploy.dir, "docker ps --format '{{.Label \"com.docker.compose.project\"}}'")?;
    assert!(names.lines().all(|name| name == "my-appv2"), "{names}");
    deploy.driver(&["stop", "api", "late", "worker"]).expect(0);
    assert_eq!(deploy.ps(), "api stopped\nlate stopped\nworker stopped\n");
    deploy.compose("down -v")?;
    Ok(())
}

#[test]
fn the_engine_is_the_one_at_the_address_that_the_client_is_given() -> Result<()> {
    with_each(|host| {
        let deploy = host.deploy("deploy", &yaml(&[service("api", SLEEPS, "")]));
        let at = |socket: &Path, words: &[&str]| {
            let mut command = deploy.driver_command(words);
            command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
            run(command, "")
        };
        let socket = host.dir().join("user/docker.sock");
        std::fs::create_dir_all(socket.parent().context("a directory")?)?;
        at(&socket, &["ps"])?.expect(1);
        symlink("/var/run/docker.sock", &socket)?;
        at(&socket, &["start", "api"])?.expect(0);
        assert_eq!(at(&socket, &["ps"])?.expect(0).stdout, "api\trunning\n");
        assert_eq!(at(&socket, &["exec", "api", "echo", "x"])?.expect(0).stdout, "x\n");
        at(&socket, &["stop", "api"])?.expect(0);
        Ok(())
    })
}

/// An image with a shell's programs alone, removed when dropped.
struct Busybox(String);

impl Busybox {
    fn import(dir: &Path) -> Result<Self> {
        let name = format!("piprio-test-busybox:{}", &random()[..12]);
        let script = format!(
            "mkdir -p root/bin root/tmp root/proc root/dev root/etc && chmod 1777 root/tmp &&
             cp -- \"$(command -v busybox)\" root/bin/busybox &&
             for name in $(busybox --list); do ln -s busybox root/bin/$name 2>/dev/null || true; done &&
             tar -C root -c . | docker import --change 'ENV PATH=/bin' - {name}"
        );
        sh(dir, &script)?;
        Ok(Self(name))
    }
}

impl Drop for Busybox {
    fn drop(&mut self) {
        if let Err(error) = sh(Path::new("/"), &format!("docker rmi -f {}", self.0)) {
            eprintln!("removing an image: {error:#}");
        }
    }
}

fn is_run(deploy: &Deploy) -> Result<()> {
    deploy.driver(&["start", "api"]).expect(0);
    assert_eq!(deploy.ps(), "api running\n");
    let echoed = run(deploy.driver_command(&["exec", "api", "cat"]), "a\0b")?.expect(0);
    assert_eq!(echoed.stdout, "a\0b");
    deploy.driver(&["exec", "api", "sh", "-c", "exit 7"]).expect(7);
    let user = deploy.driver(&["exec", "api", "id", "-u"]).expect(0).stdout;
    assert_eq!(user, "1234\n");
    // What it has started inside ends with it.
    let mut child = deploy.driver_command(&["exec", "api", "sleep", "900"]);
    let mut child = child.stdin(std::process::Stdio::null()).spawn()?;
    let id = deploy.container("api")?;
    let sleeps =
        || Ok(sh(&deploy.dir, &format!("docker top {id} -o pid,args"))?.contains("sleep 900"));
    test_kit::process::wait_until("the command to run", sleeps)?;
    sh(&deploy.dir, &format!("kill -TERM {}", child.id()))?;
    assert_eq!(child.wait()?.code(), Some(143));
    test_kit::process::wait_until("the command to end", || Ok(!sleeps()?))?;
    deploy.driver(&["stop", "api"]).expect(0);
    assert_eq!(deploy.ps(), "api stopped\n");
    Ok(())
}

#[test]
fn busybox_alone_another_user_and_a_read_only_root_are_enough() -> Result<()> {
    with_each(|host| {
        let image = Busybox::import(host.dir())?;
        let service = format!(
            "  api: {{image: '{}', command: [sleep, '1000'], init: true, user: '1234:1234', read_only: true,
    tmpfs: [/tmp], stop_grace_period: 1s, labels: {{piprio.test: compose}}}}\n",
            image.0
        );
        let deploy = host.deploy("deploy", &yaml(&[service]));
        is_run(&deploy)?;
        deploy.compose("down -v")?;
        Ok(())
    })
}

#[test]
fn a_compose_file_outside_the_deployment_is_its_own_and_no_other_deployments() -> Result<()> {
    with_each(|host| {
        let db = yaml(&[service("db", SLEEPS, "")]);
        let above = host.deploy("piprio-outside", &db);
        let deploy = host.existing("piprio-outside/deploy");
        std::fs::create_dir(&deploy.dir)?;
        std::fs::write(deploy.file(".env"), "")?;
        for name in ["docker-compose.yml", "product.yml"] {
            if name == "product.yml" {
                std::fs::rename(above.file("docker-compose.yml"), above.file(name))?;
                deploy.set("COMPOSE_FILE=../product.yml")?;
            }
            assert_eq!(deploy.driver(&["start", "db"]).expect(0).stdout, "");
            assert_eq!(deploy.ps(), "db running\n");
            assert_eq!(deploy.driver(&["exec", "db", "echo", "here"]).expect(0).stdout, "here\n");
            assert_eq!(above.containers("db")?.len(), 1);
            // A project of the same name in another directory is not touched.
            let same = host.deploy("elsewhere/piprio-outside", &db);
            let refused = same.driver(&["stop", "db"]).expect(5).stderr;
            assert!(refused.contains("set another COMPOSE_PROJECT_NAME"), "{refused}");
            // Nor is one of another deployment, which a directory below it would lead to.
            std::fs::write(above.file(".env"), "")?;
            let refused = deploy.driver(&["stop", "db"]).expect(5).stderr;
            assert!(refused.contains("is another deployment"), "{refused}");
            std::fs::remove_file(above.file(".env"))?;
            deploy.driver(&["stop", "db"]).expect(0);
            assert_eq!(deploy.ps(), "db stopped\n");
            deploy.compose("down -v")?;
        }
        Ok(())
    })
}
