use super::super::facts::Kind;
use super::super::subnet::Subnet;
use super::*;
use crate::yaml;
use pipe_kit::Exit;
use std::path::Path;

mod mounted;

const DRILL: &str = "/backups/.drill/d/deploy";
const DEPLOY: &str = "/srv/piprio/deploy";

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A host with some files; a name that ends in a slash is a directory, one that ends in `=` a socket.
struct Host<'a> {
    files: &'a [&'a str],
    done: &'a [&'a str],
    skip: &'a [&'a str],
    inactive: &'a [&'a str],
    /// Volumes of every image.
    volumes: &'a [&'a str],
}

const PLAIN: Host<'static> = Host { files: &[], done: &[], skip: &[], inactive: &[], volumes: &[] };

impl Host<'_> {
    fn kind(&self, path: &Path) -> Kind {
        let path = path.display().to_string();
        let is = |end: &str| self.files.contains(&format!("{path}{end}").as_str());
        match (is(""), is("/"), is("=")) {
            (true, ..) => Kind::File,
            (_, true, _) => Kind::Directory,
            (.., true) => Kind::Special,
            _ => Kind::Missing,
        }
    }

    fn isolate(&self, configuration: &Value) -> Result<(Value, Notes)> {
        let names = names(configuration, "services");
        let image = |name: &String| {
            let volumes = self.volumes.iter().map(|path| (*path).to_owned()).collect();
            (name.clone(), Image { id: format!("sha256:{name}"), volumes })
        };
        let images = names.iter().filter(|name| *name != "unknown").map(image).collect();
        let active = names.difference(&set(self.inactive)).cloned().collect();
        isolate(
            configuration,
            &Facts {
                project: "piprio-drill-1",
                drill: Path::new(DRILL),
                deploy: Path::new(DEPLOY),
                active: &active,
                done: &set(self.done),
                skip: &set(self.skip),
                images: &images,
                subnet: &Subnet {
                    range: "198.18.37.0/24".into(),
                    nobody: [198, 18, 37, 254].into(),
                },
                kind: &|path| self.kind(path),
                // The deployment's directory has a second name.
                real: &|path| match path.strip_prefix("/srv/link") {
                    Ok(inside) => Path::new("/srv/piprio").join(inside),
                    Err(_) => path.to_owned(),
                },
            },
        )
    }

    /// One service `api`, isolated, and what was dropped of it.
    fn api(&self, service: Value) -> (Value, Vec<String>) {
        let configuration = json!({"services": {"api": service, "db": {"image": "d"}}});
        let (file, notes) = self.isolate(&configuration).unwrap();
        let dropped = notes.dropped.into_iter().map(|(_, what)| what).collect();
        (file["services"]["api"].clone(), dropped)
    }

    fn refusal(&self, configuration: &Value) -> String {
        let error = self.isolate(configuration).unwrap_err();
        assert_eq!(pipe_kit::status::of(&error), Exit::Refused, "{error:#}");
        error.to_string()
    }
}

fn usual() -> Value {
    json!({"image": "sha256:api", "restart": "no", "oom_score_adj": 1000, "cpu_shares": 128, "labels": {LABEL: "piprio-drill-1"},
           "networks": {"default": {"aliases": []}}, "dns": ["127.0.0.1"],
           "dns_opt": ["timeout:2", "attempts:1"]})
}

fn with(more: Value) -> Value {
    let mut service = usual();
    service.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    service
}

#[test]
fn a_service_keeps_what_concerns_itself_and_nothing_that_leads_outside() {
    let none: &[&str] = &[];
    for (service, more, dropped) in [
        (
            json!({"command": ["a", "$$b"], "entrypoint": null, "user": "1000", "mem_limit": "1g"}),
            json!({"command": ["a", "$$b"], "user": "1000", "mem_limit": "1g"}),
            none,
        ),
        (
            json!({"ports": ["80:80"], "container_name": "api", "restart": "always", "scale": 3,
                "labels": {"traefik.enable": "true"}, "logging": {"driver": "syslog"},
                "profiles": ["a"], "pull_policy": "always", "env_file": ["a"],
                "build": {"context": "."}, "networks": {"edge": null}}),
            json!({}),
            none,
        ),
        (
            json!({"deploy": {"replicas": 3, "placement": {}, "resources": {"limits": {"cpus": "1"}}}}),
            json!({"deploy": {"resources": {"limits": {"cpus": "1"}}}}),
            none,
        ),
        (json!({"privileged": false, "devices": [], "extra_hosts": {}}), json!({}), none),
        (
            json!({"privileged": true, "devices": ["/dev/kvm"], "extra_hosts": ["a=host-gateway"],
                "dns": "8.8.8.8", "external_links": ["other"], "runtime": "nvidia",
                "use_api_socket": true}),
            json!({}),
            &[
                "devices",
                "dns",
                "external_links",
                "extra_hosts",
                "privileged",
                "runtime",
                "use_api_socket",
            ],
        ),
        (
            json!({"cap_add": ["NET_ADMIN", "CAP_CHOWN", "setuid"], "cap_drop": ["ALL"]}),
            json!({"cap_add": ["CAP_CHOWN", "setuid"], "cap_drop": ["ALL"]}),
            &["cap_add: NET_ADMIN"],
        ),
        (
            json!({"security_opt": ["seccomp:unconfined", "no-new-privileges:true"]}),
            json!({"security_opt": ["no-new-privileges:true"]}),
            &["security_opt: seccomp:unconfined"],
        ),
        (
            json!({"pid": "host", "ipc": "host", "userns_mode": "host", "network_mode": "host"}),
            json!({}),
            &["ipc: host", "network_mode: host", "pid: host", "userns_mode"],
        ),
        (
            json!({"pid": "container:x", "ipc": "shareable", "network_mode": "bridge"}),
            json!({"ipc": "shareable"}),
            &["network_mode: bridge", "pid: container:x"],
        ),
        (
            json!({"links": ["db:database", "gone"], "volumes_from": ["db:ro", "container:x"]}),
            json!({"links": ["db:database"], "volumes_from": ["db:ro"]}),
            &["links: gone", "volumes_from: container:x"],
        ),
        (
            json!({"environment": {"A": "b", "EMPTY": "", "PASSED": null, "VIRTUAL_HOST": "x.org"}}),
            json!({"environment": {"A": "b", "EMPTY": ""}}),
            &["environment: VIRTUAL_HOST"],
        ),
        (json!({"environment": ["A=b=c", "PASSED"]}), json!({"environment": {"A": "b=c"}}), none),
        (
            json!({"depends_on": ["db", "gone"]}),
            json!({"depends_on": {"db": {"condition": "service_started"}}}),
            none,
        ),
        (
            json!({"depends_on": {"db": {"condition": "service_healthy", "required": true}}}),
            json!({"depends_on": {"db": {"condition": "service_healthy", "required": true}}}),
            none,
        ),
    ] {
        let (isolated, what) = PLAIN.api(service.clone());
        assert_eq!(isolated, with(more), "{service}");
        assert_eq!(what, dropped, "{service}");
    }
}

#[test]
fn a_service_without_a_network_or_in_anothers_stays_so() {
    for mode in ["none", "service:db"] {
        let (isolated, dropped) = PLAIN.api(json!({"network_mode": mode, "links": ["db"]}));
        assert_eq!(isolated["network_mode"], json!(mode));
        assert_eq!((isolated.get("networks"), isolated.get("links")), (None, None));
        assert!(dropped.is_empty());
    }
}

#[test]
fn one_shots_and_what_rules_the_engine_do_not_run_and_nobody_waits_for_them() {
    let host = Host { done: &["seed"], skip: &["mailer"], inactive: &["debug"], ..PLAIN };
    let configuration = json!({"services": {
        "api": {"depends_on": {"migrate": {"condition": "service_completed_successfully"},
                               "seed": {"condition": "service_started"},
                               "db": {"condition": "service_healthy"}}},
        "db": {}, "migrate": {"ports": ["9:9"]}, "seed": {}, "mailer": {}, "debug": {},
        "proxy": {"volumes": ["/var/run/docker.sock:/var/run/docker.sock:ro"]},
    }});
    let (file, notes) = host.isolate(&configuration).unwrap();
    let kept: Vec<&String> = file["services"].as_object().unwrap().keys().collect();
    assert_eq!(kept, ["api", "db"]);
    assert_eq!(
        file["services"]["api"]["depends_on"],
        json!({"db": {"condition": "service_healthy"}})
    );
    let text = notes.to_text();
    for line in [
        "skipped\tmailer\tasked\n",
        "skipped\tmigrate\tone-shot\n",
        "skipped\tseed\tone-shot\n",
        "skipped\tproxy\tsocket\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("debug") && !text.contains("port\t"), "{text}");
}

#[test]
fn there_is_one_network_with_every_name_that_leads_to_one_service_alone() {
    let configuration = json!({"version": "3.8", "services": {
        "api": {"container_name": "piprio-api",
                "networks": {"a": {"aliases": ["backend", "both", "db"], "ipv4_address": "10.0.0.9"}, "b": null}},
        "worker": {"networks": {"b": {"aliases": ["both"]}}},
        "db": {"networks": ["a"]},
    }, "networks": {"a": {"external": true, "name": "proxy"}, "b": {"driver": "macvlan"}}});
    let (file, _) = PLAIN.isolate(&configuration).unwrap();
    assert_eq!(
        file["networks"],
        json!({"default": {"internal": true, "labels": {LABEL: "piprio-drill-1"}, "ipam": {"config": [
            {"subnet": "198.18.37.0/24", "aux_addresses": {"DefaultGatewayIPv4": "198.18.37.254"}}]}}})
    );
    let aliases = |service: &str| file["services"][service]["networks"].clone();
    assert_eq!(aliases("api"), json!({"default": {"aliases": ["backend", "piprio-api"]}}));
    assert_eq!(aliases("worker"), json!({"default": {"aliases": []}}));
    assert_eq!(aliases("db"), json!({"default": {"aliases": []}}));
    assert_eq!(file["version"], json!("3.8"));
}

#[test]
fn what_both_composes_print_of_one_deployment_becomes_the_same_file() {
    let own = |name: &str| format!("{DRILL}/secrets/{name}");
    let files = [own("key"), format!("{DEPLOY}/nginx.conf")];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let host = Host { files: &files, inactive: &["old"], ..PLAIN };
    let v1 = format!(
        "secrets:\n  key:\n    file: {DRILL}/secrets/key\nservices:\n  api:\n    build:\n      context: {DRILL}\n    \
         environment:\n      PIN: 1e3\n      \"Y\": \"yes\"\n    healthcheck:\n      test: a\n    image: api\n    \
         ports:\n    - 127.0.0.1:81:80/tcp\n    - published: 3000\n      target: 3000\n    secrets:\n    \
         - source: key\n    volumes:\n    - {DRILL}/nginx.conf:/n.conf:ro\n    - data:/data:rw\n  \
         old:\n    image: x\n    profiles:\n    - p\nversion: '3.9'\nvolumes:\n  data: {{}}\n"
    );
    let v2 = json!({
        "name": "x", "networks": {"default": {"name": "x_default", "ipam": {}}},
        "secrets": {"key": {"name": "x_key", "file": own("key")}},
        "services": {"api": {
            "build": {"context": DRILL, "dockerfile": "Dockerfile"}, "command": null, "entrypoint": null,
            "environment": {"PIN": "1e3", "Y": "yes"}, "healthcheck": {"test": "a"}, "image": "api",
            "networks": {"default": null},
            "ports": [{"mode": "ingress", "host_ip": "127.0.0.1", "target": 80, "published": "81", "protocol": "tcp"},
                      {"mode": "ingress", "target": 3000, "published": "3000", "protocol": "tcp"}],
            "secrets": [{"source": "key"}],
            "volumes": [{"type": "bind", "source": format!("{DRILL}/nginx.conf"), "target": "/n.conf",
                         "read_only": true, "bind": {"create_host_path": true}},
                        {"type": "volume", "source": "data", "target": "/data", "volume": {}}]}},
        "volumes": {"data": {"name": "x_data"}},
    });
    let (mut one, notes) = host.isolate(&yaml::parse(&v1).unwrap()).unwrap();
    one.as_object_mut().unwrap().remove("version");
    let two = host.isolate(&v2).unwrap();
    assert_eq!(one, two.0);
    assert_eq!(notes, two.1);
    assert_eq!(notes.to_text(), "port\t81\tapi\t80\nport\t3000\tapi\t3000\n");
}

#[test]
fn an_image_that_is_not_here_is_not_fetched() {
    let text = PLAIN.refusal(&json!({"services": {"unknown": {"image": "x:latest"}}}));
    assert!(text.contains("not on this host") && text.contains("unknown"), "{text}");
    assert!(PLAIN.isolate(&json!({"services": {}})).is_err());
}
