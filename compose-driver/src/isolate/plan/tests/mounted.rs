//! What is mounted: directories, volumes, secrets.

use super::*;

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
