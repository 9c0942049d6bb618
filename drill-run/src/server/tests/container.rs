//! Servers of an image, in containers of the engine that `scripts/test-compose.sh` has.

use super::*;
use crate::server::{engine, plan};
use rustix::process::Signal;

/// A driver that names the image of the tests; without one, the test is skipped.
fn driver(place: &Place) -> Option<(PathBuf, String)> {
    let image = std::env::var("PIPRIO_TEST_COMPOSE_IMAGE").ok().filter(|name| !name.is_empty());
    let Some(image) = image else {
        skipped("no container engine was given; scripts/test-compose.sh has one");
        return None;
    };
    let driver = place.root.path().join("driver");
    write_script(&driver, &format!("[ \"$*\" = 'image db' ] || exit 2; echo '{image}'"));
    Some((driver, image))
}

fn of_image<'a>(dir: &'a Path, driver: &'a Path) -> ServerRequest<'a> {
    ServerRequest { source: Preference::Image, service: Some("db"), driver, ..request(dir) }
}

fn docker(words: &[&str]) -> String {
    let output = engine::docker(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Containers and volumes of a directory.
fn left(dir: &Path) -> String {
    let filter = format!("--filter=label={}", record::mark(dir));
    let containers = docker(&["container", "ls", "--all", "--quiet", &filter]);
    containers + &docker(&["volume", "ls", "--quiet", &filter])
}

/// `psql` in the container, as pg-snap starts it.
fn psql_inside(server: &PrivateServer, sql: &str) -> String {
    let line = "exec $PG_SNAP_EXEC psql -X -A -t -q -c \"$0\"";
    server.tool("sh", "postgres").args(["-c", line, sql]).capture().unwrap().trim().to_owned()
}

#[test]
fn a_server_of_the_image_has_no_network_and_leaves_nothing() {
    let place = Place::new();
    let Some((driver, image)) = driver(&place) else { return };
    let dir = place.dir();
    let wanted = of_image(&dir, &driver);
    assert!(plan(&wanted).unwrap().contains(&image));
    let server = PrivateServer::start(&wanted).unwrap();
    assert_eq!(
        psql_inside(&server, "select current_user, current_database()"),
        "postgres|postgres"
    );
    assert_eq!(psql_inside(&server, "show listen_addresses"), "");
    assert!(psql_inside(&server, "show server_version").starts_with(server.version()));
    assert_eq!(server.source(), format!("image {image}"));
    let name = engine::name(&dir);
    let format = "--format={{.HostConfig.NetworkMode}} {{.Config.User}} {{.HostConfig.CapDrop}}";
    assert_eq!(docker(&["inspect", format, &name]), "none postgres [ALL]");
    // A client of this host finds no other server by the same settings.
    let host = server.environment("postgres").into_iter().find(|(name, _)| name == "PGHOST");
    assert!(!Path::new(&host.unwrap().1).exists());
    assert!(server.connect_hint().contains(&format!("docker rm -f -v {name}")));
    assert!(!left(&dir).is_empty());
    server.stop().unwrap();
    assert_eq!(left(&dir), "");
    assert_nothing_is_left(&dir);
}

#[test]
fn a_container_that_a_killed_drill_has_left_is_removed_and_no_other_is() {
    let (place, other) = (Place::new(), Place::new());
    let Some((driver, _)) = driver(&place) else { return };
    let (dir, other) = (place.dir(), other.dir());
    let held = PrivateServer::start(&of_image(&other, &driver)).unwrap();
    for tenths in [2, 8, 14] {
        let text = driver.to_str().unwrap();
        let holder = Holder::start(&[], "hold", &dir, &[(DRIVER, text)]);
        std::thread::sleep(Duration::from_millis(tenths * 100));
        holder.signal(Signal::KILL);
        drop(holder);
        remove_leftover(&dir).unwrap();
        assert_eq!(left(&dir), "");
        assert_nothing_is_left(&dir);
    }
    let mut holder = Holder::start(&[], "hold", &dir, &[(DRIVER, driver.to_str().unwrap())]);
    std::thread::sleep(Duration::from_millis(700));
    holder.signal(Signal::TERM);
    assert_eq!(holder.child.wait().unwrap().code(), Some(143));
    assert_eq!(left(&dir), "");
    assert_nothing_is_left(&dir);
    assert_eq!(psql_inside(&held, "select 1"), "1");
    held.stop().unwrap();
    assert_eq!(left(&other), "");
}

#[test]
fn an_image_that_cannot_serve_is_refused_and_leaves_nothing() {
    let place = Place::new();
    let Some((driver, _)) = driver(&place) else { return };
    let dir = place.dir();
    let old = ServerRequest { major: 999, ..of_image(&dir, &driver) };
    let large = ServerRequest { bytes: 1 << 60, ..of_image(&dir, &driver) };
    for (wanted, words) in [(old, "needs 999 or newer"), (large, "is free for a volume")] {
        let error = PrivateServer::start(&wanted).err().expect("a refusal");
        assert_eq!(pipe_kit::status::of(&error), Exit::Refused, "{error:#}");
        assert!(format!("{error:#}").contains(words), "{error:#}");
        assert_eq!(left(&dir), "");
        assert_nothing_is_left(&dir);
    }
}
