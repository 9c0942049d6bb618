use super::super::facts::Kind;
use super::super::subnet::Subnet;
use super::*;
use crate::yaml;
use pipe_kit::Exit;
use std::path::Path;

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
    json!({"image": "sha256:api", "restart": "no", "labels": {LABEL: "piprio-drill-1"},
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
fn nothing_of_the_host_is_mounted_that_a_service_could_write_to() {
    let host = Host {
        files: &[
            "/backups/.drill/d/deploy/certs/",
            "/backups/.drill/d/deploy/.env",
            "/srv/piprio/deploy/certs/",
            "/srv/piprio/deploy/.env",
            "/srv/piprio/deploy/nginx.conf",
            "/srv/piprio/deploy/web/",
            "/srv/piprio/deploy/data/",
            "/srv/piprio/deploy/run=",
            "/srv/piprio/beside/",
            "/etc/localtime",
            "/var/lib/data/",
            "/run/postgresql=",
        ],
        ..PLAIN
    };
    let own = |inside: &str| format!("{DRILL}/{inside}");
    let theirs = |inside: &str| format!("{DEPLOY}/{inside}");
    let bind = |source: String, ro: bool| json!([{"type": "bind", "source": source, "target": "/t", "read_only": ro}]);
    let volume = |name: &str, ro: bool| json!([{"type": "volume", "source": name, "target": "/t", "read_only": ro}]);
    for (source, mode, expected, dropped) in [
        (own("certs"), "ro", bind(own("certs"), true), ""),
        (own("certs"), "rw", bind(own("certs"), false), ""),
        // By whichever name production's are meant, the drill's are mounted.
        (theirs("certs"), "ro", bind(own("certs"), true), ""),
        ("/srv/link/deploy/.env".into(), "ro", bind(own(".env"), true), ""),
        (own("nginx.conf"), "ro", bind(theirs("nginx.conf"), true), ""),
        (
            own("nginx.conf"),
            "rw",
            bind(theirs("nginx.conf"), true),
            "/t: /srv/piprio/deploy/nginx.conf can be read and not written",
        ),
        (own("web"), "ro", bind(theirs("web"), true), ""),
        (
            own("data"),
            "rw",
            volume("drill-1", false),
            "/t: an empty volume in place of /srv/piprio/deploy/data",
        ),
        (
            theirs("data"),
            "rw",
            volume("drill-1", false),
            "/t: an empty volume in place of /srv/piprio/deploy/data",
        ),
        (
            own("new"),
            "rw",
            volume("drill-1", false),
            "/t: an empty volume, since there is no /srv/piprio/deploy/new",
        ),
        (own("run"), "ro", json!(null), "/t: /srv/piprio/deploy/run is not mounted"),
        ("/backups/.drill/d/beside".into(), "ro", bind("/srv/piprio/beside".into(), true), ""),
        ("/etc/localtime".into(), "ro", bind("/etc/localtime".into(), true), ""),
        (
            "/var/lib/data".into(),
            "rw",
            volume("drill-1", false),
            "/t: an empty volume in place of /var/lib/data",
        ),
        ("/var/lib/data".into(), "ro", bind("/var/lib/data".into(), true), ""),
        ("/run/postgresql".into(), "rw", json!(null), "/t: /run/postgresql is not mounted"),
        ("data".into(), "ro", volume("data", true), ""),
    ] {
        let kind = if source.starts_with('/') { "bind" } else { "volume" };
        let long =
            json!({"type": kind, "source": source, "target": "/t", "read_only": mode == "ro"});
        for entry in [json!(format!("{source}:/t:{mode}")), long] {
            let (isolated, what) = host.api(json!({"volumes": [entry]}));
            assert_eq!(
                *isolated.get("volumes").unwrap_or(&Value::Null),
                expected,
                "{source} {mode}"
            );
            assert_eq!(what.concat(), dropped, "{source} {mode}");
        }
    }
    for missing in ["secrets/key", "certs/gone"] {
        let entry = format!("{}:/t:ro", own(missing));
        let configuration = json!({"services": {"api": {"volumes": [entry]}}});
        let text = host.refusal(&configuration);
        let expected = format!("the service api needs {missing}, which the bundle does not have");
        assert_eq!(text, expected);
    }
}

#[test]
fn services_that_share_a_directory_share_its_volume_and_every_volume_is_the_drills_own() {
    let host = Host { files: &["/srv/piprio/deploy/up/"], volumes: &["/image/", "/data"], ..PLAIN };
    let configuration = json!({
        "services": {
            "api": {"volumes": [format!("{DRILL}/up:/up"), "pg:/data"]},
            "worker": {"volumes": [format!("{DEPLOY}/up:/w"), "/own", {"type": "tmpfs", "target": "/t"}]},
        },
        "volumes": {"pg": {"name": "production", "external": true, "driver": "nfs",
                           "driver_opts": {"device": ":/x"}}, "drill-1": {}, "unused": {}},
    });
    let (file, _) = host.isolate(&configuration).unwrap();
    let volumes = |service: &str| file["services"][service]["volumes"].clone();
    let names = |service: &str| {
        let names = volumes(service);
        let names: Vec<_> =
            names.as_array().unwrap().iter().map(|it| it["source"].clone()).collect();
        json!(names)
    };
    assert_eq!(names("api"), json!(["drill-2", "pg", "drill-3"]));
    assert_eq!(names("worker"), json!(["drill-2", "drill-4", null, "drill-5", "drill-6"]));
    let label = json!({"labels": {LABEL: "piprio-drill-1"}});
    let all: Vec<&String> = file["volumes"].as_object().unwrap().keys().collect();
    assert_eq!(all, ["drill-2", "drill-3", "drill-4", "drill-5", "drill-6", "pg"]);
    assert!(file["volumes"].as_object().unwrap().values().all(|it| *it == label));
}

#[test]
fn a_secret_is_the_bundles_or_the_drill_is_refused() {
    let host = Host {
        files: &[
            "/backups/.drill/d/deploy/secrets/key",
            "/srv/piprio/deploy/app.conf",
            "/srv/piprio/deploy/own.key",
            "/etc/key",
            "/etc/app.conf",
        ],
        ..PLAIN
    };
    let of = |section: &str, definition: Value| json!({"services": {"api": {section: [{"source": "it"}]}}, section: {"it": definition}});
    let own = format!("{DRILL}/secrets/key");
    for (section, definition, expected) in [
        ("secrets", json!({"file": own, "name": "deploy_it"}), json!({"file": own})),
        ("secrets", json!({"file": format!("{DEPLOY}/secrets/key")}), json!({"file": own})),
        ("secrets", json!({"environment": "KEY"}), json!({"environment": "KEY"})),
        (
            "configs",
            json!({"file": format!("{DRILL}/app.conf")}),
            json!({"file": "/srv/piprio/deploy/app.conf"}),
        ),
        ("configs", json!({"file": "/etc/app.conf"}), json!({"file": "/etc/app.conf"})),
        ("configs", json!({"content": "a$$b"}), json!({"content": "a$$b"})),
    ] {
        let (file, _) = host.isolate(&of(section, definition.clone())).unwrap();
        assert_eq!(file[section], json!({"it": expected}), "{definition}");
    }
    for (section, definition, words) in [
        ("secrets", json!({"external": true, "name": "it"}), "the engine keeps it"),
        ("secrets", json!({"external": {"name": "it"}}), "the engine keeps it"),
        ("configs", json!({"external": true}), "the engine keeps it"),
        ("secrets", json!({"driver": "vault"}), "the engine keeps it"),
        ("secrets", json!({"file": "/etc/key"}), "/etc/key, which the bundle does not have"),
        (
            "secrets",
            json!({"file": format!("{DRILL}/own.key")}),
            "/srv/piprio/deploy/own.key, which the bundle does not have",
        ),
        (
            "secrets",
            json!({"file": format!("{DRILL}/secrets/gone")}),
            "needs secrets/gone, which the bundle does not have",
        ),
        ("configs", json!({"file": "/etc/gone"}), "there is no file /etc/gone"),
    ] {
        let text = host.refusal(&of(section, definition.clone()));
        assert!(text.contains(words), "{definition}: {text}");
    }
    // Nobody uses it.
    let (file, _) = host
        .isolate(&json!({"services": {"api": {}}, "secrets": {"it": {"external": true}}}))
        .unwrap();
    assert_eq!(file.get("secrets"), None);
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
