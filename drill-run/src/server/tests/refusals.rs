//! What is refused before anything is made.

use super::*;
use crate::server::plan;
use pipe_kit::status;

fn assert_refused(request: &ServerRequest<'_>, words: &[&str]) {
    let errors = [PrivateServer::start(request).err(), plan(request).err()];
    for error in errors {
        let error = error.expect("a refusal");
        assert_eq!(status::of(&error), Exit::Refused, "{error:#}");
        for words in words {
            assert!(format!("{error:#}").contains(words), "{error:#}");
        }
    }
    assert_nothing_is_left(request.dir);
}

#[test]
fn too_little_room_is_refused_with_what_is_needed_and_the_setting() {
    if !has_postgres() {
        return;
    }
    let place = Place::new();
    let dir = place.dir();
    let wanted = ServerRequest { bytes: 1 << 60, ..request(&dir) };
    let place = format!("is free in {}", dir.display());
    assert_refused(&wanted, &["needs 1.1 EiB for a database of 1.0 EiB", &place, "DRILL_DIR"]);
}

#[test]
fn where_no_release_serves_and_no_image_does_both_are_named() {
    let place = Place::new();
    let dir = place.dir();
    let wanted = ServerRequest { major: 999, ..request(&dir) };
    let none = "no PostgreSQL 999 or newer";
    let package = "postgresql-999";
    assert_refused(&wanted, &[none, "no service of the deployment is its database", package]);
    let wanted = ServerRequest { service: Some("db"), ..wanted };
    assert_refused(&wanted, &[none, "/no/driver image db: /no/driver not found", package]);
    let wanted = ServerRequest { source: Preference::Image, major: 9, ..wanted };
    assert_refused(&wanted, &["/no/driver not found"]);
}

#[test]
fn a_user_who_cannot_run_a_server_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let dir = place.dir();
    let none = ServerRequest { user: "no-such-user", ..request(&dir) };
    assert_refused(&none, &["no user no-such-user", "DRILL_USER"]);
    let root = ServerRequest { user: "root", ..request(&dir) };
    assert_refused(&root, &["does not run as root", "DRILL_USER"]);
}
