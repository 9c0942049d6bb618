//! The driver's verbs for drills: a deployment's services as an isolated project, and its end.

use crate::contract::{SLEEPS, service, with_each, yaml};
use crate::drill_app::Project;
use crate::kit::{Deploy, Host};
use anyhow::Result;
use std::path::Path;
use test_kit::deployment::sh;
use test_kit::process::wait_until;

/// A drill's directory, prepared as it is for the driver.
fn prepared<'a>(host: &'a Host, name: &str, project: &str) -> Result<Deploy<'a>> {
    let dir = host.dir().join(name);
    std::fs::create_dir_all(dir.join("secrets"))?;
    std::fs::write(dir.join("secrets/key"), "drills-own\n")?;
    let env =
        format!("COMPOSE_PROJECT_NAME={project}\nCOMPOSE_FILE=compose.drill.yml\nCOLOUR=drill\n");
    std::fs::write(dir.join(".env"), env)?;
    Ok(Deploy { host, dir })
}

/// Routes that no rule leads to, and which are gone when this is dropped.
struct Routes;

impl Routes {
    const TABLE: &str = "47113";

    fn add(ranges: &[&str]) -> Result<Self> {
        let routes = Self;
        for range in ranges {
            sh(Path::new("/"), &format!("ip route add blackhole {range} table {}", Self::TABLE))?;
        }
        Ok(routes)
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        let _ = sh(Path::new("/"), &format!("ip route flush table {}", Self::TABLE));
    }
}

#[test]
fn addresses_of_a_route_of_any_table_are_not_taken() -> Result<()> {
    if sh(Path::new("/"), "ip -V").is_err() {
        test_kit::skipped!("there is no program ip to add a route with");
        return Ok(());
    }
    with_each(|host| {
        let deploy = host.deploy("deploy", &yaml(&[service("api", SLEEPS, "")]));
        deploy.compose("up -d")?;
        // All but one.
        let _routes = Routes::add(&[
            "198.18.0.0/16",
            "198.19.0.0/17",
            "198.19.128.0/18",
            "198.19.192.0/19",
            "198.19.224.0/20",
            "198.19.240.0/21",
            "198.19.248.0/22",
            "198.19.252.0/23",
            "198.19.254.0/24",
        ])?;
        let project = Project::new();
        let drill = prepared(host, "drill/deploy", &project.0)?;
        drill.driver(&["isolate", "--from", "deploy", "--room", "1"]).expect(0);
        let file = std::fs::read_to_string(drill.file("compose.drill.yml"))?;
        assert!(file.contains("\"198.19.255.0/24\""), "{file}");
        Ok(())
    })
}

#[test]
fn every_compose_isolates_and_runs_what_it_resolves() -> Result<()> {
    with_each(|host| {
        let database =
            service("db", SLEEPS, ", secrets: [key], networks: {default: {aliases: [database]}}");
        let odd = ", privileged: true, devices: ['/dev/null:/dev/x'], pid: host, restart: always, \
                   extra_hosts: ['a:192.0.2.1'], logging: {driver: none}, user: '0:0', cpus: 0.5, \
                   mem_limit: 64m, ports: ['18081:8080'], scale: 2, environment: {PIN: '1e3', DOLLAR: 'a$$b', \
                   COLOUR: '${COLOUR}'}, volumes: ['./data:/data', './ro:/ro:ro', 'named:/named', '/anon', \
                   '/var/run:/host:ro'], depends_on: [db, once]";
        let once = service("once", "exit 0", ", restart: 'no'");
        let services = [
            database,
            service("api", SLEEPS, odd),
            once,
            service("debug", SLEEPS, ", profiles: [debug]"),
            service("engine", SLEEPS, ", volumes: ['/var/run/docker.sock:/d.sock']")
                .replace("d.sock", "docker.sock"),
        ];
        let file = format!(
            "{}secrets: {{key: {{file: ./secrets/key}}}}\nvolumes: {{named: {{labels: {{piprio.test: compose}}}}}}\n",
            yaml(&services)
        );
        let deploy = host.deploy("deploy", &file);
        deploy.set("COLOUR=production\nNAMED=one.yml")?;
        std::fs::rename(deploy.file("docker-compose.yml"), deploy.file("one.yml"))?;
        deploy.set("COMPOSE_FILE=${NAMED}")?;
        sh(
            &deploy.dir,
            "mkdir secrets data ro && echo production > secrets/key && echo x > data/x && echo y > ro/y",
        )?;
        deploy.compose("up -d once db")?;
        wait_until("the one-shot", || Ok(deploy.ps().contains("once done\n")))?;
        let before = deploy.ps();

        let project = Project::new();
        let drill = prepared(host, "drill/deploy", &project.0)?;
        // Relative to where the driver is called.
        let from = "deploy";
        let printed = drill.driver(&["isolate", "--from", from, "--room", "1"]).expect(0).stdout;
        for line in [
            "port\t18081\tapi\t8080\n",
            "skipped\tonce\tone-shot\n",
            "skipped\tengine\tsocket\n",
            "dropped\tapi\tprivileged\n",
            "dropped\tapi\tdevices\n",
            "dropped\tapi\tpid: host\n",
            "dropped\tapi\t/host: /var/run is not mounted\n",
        ] {
            assert!(printed.contains(line), "{line}{printed}");
        }
        assert_eq!(drill.ps(), "api stopped\ndb stopped\n");
        drill.driver(&["isolation"]).expect(1);
        drill.driver(&["start", "db", "api"]).expect(0);
        let checks = drill.driver(&["isolation"]).expect(0).stdout;
        assert!(checks.lines().count() == 5 && !checks.contains("\tfail\t"), "{checks}");
        let seen =
            |words: &[&str]| drill.driver(&[&["exec", "api"], words].concat()).expect(0).stdout;
        assert_eq!(seen(&["printenv", "PIN", "DOLLAR", "COLOUR"]), "1e3\na$b\ndrill\n");
        assert_eq!(
            seen(&["sh", "-c", "ls /data /ro /named /anon; touch /data/y"]),
            "/anon:\n\n/data:\n\n/named:\n\n/ro:\ny\n"
        );
        assert_eq!(
            seen(&["sh", "-c", "touch /ro/x 2>/dev/null || getent hosts database | wc -l"]),
            "1\n"
        );
        assert_eq!(
            drill.driver(&["exec", "db", "cat", "/run/secrets/key"]).expect(0).stdout,
            "drills-own\n"
        );
        assert_eq!(sh(&deploy.dir, "ls data")?, "x\n");

        // Neither the deployment's directory nor another project is taken down.
        let refused = deploy.driver(&["destroy"]).expect(5);
        assert!(refused.stderr.contains("there is no drill"), "{refused:?}");
        drill.driver(&["destroy", "--project", "deploy"]).expect(5);
        deploy.driver(&["destroy", "--project", "deploy"]).expect(0);
        assert_eq!(deploy.ps(), before);
        drill.driver(&["destroy"]).expect(0);
        drill.driver(&["destroy"]).expect(0);
        assert_eq!(project.left()?, "");
        assert_eq!(deploy.ps(), before);
        Ok(())
    })
}

#[test]
fn a_deployment_that_cannot_be_isolated_is_refused_and_a_directory_must_be_prepared() -> Result<()>
{
    with_each(|host| {
        let deploy = host.deploy("deploy", &yaml(&[service("api", SLEEPS, "")]));
        let from = deploy.dir.display().to_string();
        let drill = prepared(host, "drill/deploy", "piprio-drill-test-x")?;
        let isolate = ["isolate", "--from", &from];
        let refused =
            drill.driver(&[&isolate[..], &["--room", "9000000000000000000"]].concat()).expect(5);
        assert!(refused.stderr.contains("make room there"), "{refused:?}");
        assert!(!drill.file("compose.drill.yml").exists());
        drill.driver(&isolate).expect(0);
        std::fs::remove_file(drill.file("compose.drill.yml"))?;
        let external = ", secrets: [key]";
        let file = format!(
            "{}secrets: {{key: {{external: true}}}}\n",
            yaml(&[service("api", SLEEPS, external)])
        );
        std::fs::write(deploy.file("docker-compose.yml"), file)?;
        let refused = drill.driver(&isolate).expect(5);
        assert!(refused.stderr.contains("the engine keeps it"), "{refused:?}");
        std::fs::write(
            deploy.file("docker-compose.yml"),
            yaml(&[service("api", SLEEPS, "").replace("image: '", "image: 'no-such-")]),
        )?;
        let refused = drill.driver(&isolate).expect(5);
        assert!(refused.stderr.contains("a drill fetches none: api"), "{refused:?}");
        std::fs::write(drill.file(".env"), "COMPOSE_PROJECT_NAME=x\n")?;
        drill.driver(&isolate).expect(2);
        deploy.driver(&["isolate", "--from", &from]).expect(2);
        Ok(())
    })
}
