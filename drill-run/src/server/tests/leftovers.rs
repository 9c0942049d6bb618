//! What a killed drill leaves.

use super::*;
use rustix::process::Signal;

#[test]
fn a_server_ends_by_itself_when_the_drill_is_killed_and_the_next_one_removes_its_files() {
    if !has_postgres() {
        return;
    }
    let place = Place::new();
    let mut holder = Holder::start(&[], "hold", &place.dir(), &[]);
    assert_ne!(holder.line(), "it has ended");
    assert_eq!(servers(&place.dir()).len(), 1);
    holder.signal(Signal::KILL);
    wait_until("the server's end", || servers(&place.dir()).is_empty());
    assert!(place.dir().join("data").exists());
    remove_leftover(&place.dir()).unwrap();
    assert_nothing_is_left(&place.dir());
}

#[test]
fn a_server_that_outlives_the_drill_is_ended_by_the_next_one_and_no_other_is() {
    if !has_postgres() {
        return;
    }
    let (place, other) = (Place::new(), Place::new());
    let long = place.dir().join("x".repeat(100));
    private_directory(&long);
    let held = PrivateServer::start(&request(&other.dir())).unwrap();
    let mut holder = Holder::start(&[], "keep", &long, &[]);
    assert_ne!(holder.line(), "it has ended");
    holder.signal(Signal::KILL);
    let short = record::Record::read(&long).unwrap().short.unwrap();
    assert!(short.exists());
    assert_eq!(servers(&long).len(), 1);
    // The id in its file may be that of any process by now.
    let pid_file = long.join("data/postmaster.pid");
    let mut sleep = Command::new("sleep").arg("1000").spawn().unwrap();
    let text = std::fs::read_to_string(&pid_file).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    std::fs::write(&pid_file, format!("{}\n{rest}", sleep.id())).unwrap();
    remove_leftover(&long).unwrap();
    assert_nothing_is_left(&long);
    assert!(!short.exists());
    assert!(sleep.try_wait().unwrap().is_none());
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    assert_eq!(psql(&held, "select 1").unwrap(), "1");
    held.stop().unwrap();
    // Where there is nothing, nothing is to be done.
    remove_leftover(&long).unwrap();
    remove_leftover(&long.join("gone")).unwrap();
}

#[test]
fn a_drill_killed_at_any_moment_leaves_nothing_that_the_next_one_does_not_remove() {
    if !has_postgres() {
        return;
    }
    let place = Place::new();
    for tenths in [0, 1, 2, 3, 5, 8, 13] {
        let holder = Holder::start(&[], "hold", &place.dir(), &[]);
        std::thread::sleep(Duration::from_millis(tenths * 100));
        holder.signal(Signal::KILL);
        drop(holder);
        remove_leftover(&place.dir()).unwrap();
        assert_nothing_is_left(&place.dir());
    }
}

#[test]
fn a_signal_at_any_moment_ends_the_server_and_leaves_nothing() {
    if !has_postgres() {
        return;
    }
    let place = Place::new();
    for (tenths, signal) in
        [(1, Signal::TERM), (4, Signal::INT), (7, Signal::HUP), (11, Signal::TERM)]
    {
        let mut holder = Holder::start(&[], "hold", &place.dir(), &[]);
        std::thread::sleep(Duration::from_millis(tenths * 100));
        holder.signal(signal);
        let status = holder.child.wait().unwrap();
        use std::os::unix::process::ExitStatusExt;
        // Before its handlers are there, the signal itself ends it.
        let number = signal.as_raw();
        assert!(status.code() == Some(128 + number) || status.signal() == Some(number), "{status}");
        assert_nothing_is_left(&place.dir());
    }
    let mut holder = Holder::start(&[], "hold", &place.dir(), &[]);
    assert_ne!(holder.line(), "it has ended");
    holder.signal(Signal::TERM);
    assert_eq!(holder.child.wait().unwrap().code(), Some(143));
    assert_nothing_is_left(&place.dir());
}

#[test]
fn processes_without_their_server_are_ended_too() {
    if !has_postgres() {
        return;
    }
    let place = Place::new();
    let server = PrivateServer::start(&request(&place.dir())).unwrap();
    let mut sleep = Command::new("psql");
    sleep.args(["-X", "-c", "select pg_sleep(1000)"]).envs(server.environment("postgres"));
    let mut sleep = sleep.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let count =
        "select coalesce(max(pid), 0) from pg_stat_activity where query like '%sleep(1000)'";
    let mut backend = 0;
    wait_until("the query", || {
        backend = psql(&server, count).unwrap().parse().unwrap();
        backend != 0
    });
    let kill = |pid: u32, signal| {
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(),
            signal,
        )
        .unwrap();
    };
    // Stopped, it does not see that its server has ended.
    kill(backend, Signal::STOP);
    kill(servers(&place.dir())[0], Signal::KILL);
    wait_until("the server's end", || servers(&place.dir()).is_empty());
    assert!(Path::new(&format!("/proc/{backend}")).exists());
    server.stop().unwrap();
    wait_until("the process's end", || !Path::new(&format!("/proc/{backend}")).exists());
    assert_nothing_is_left(&place.dir());
    sleep.wait().unwrap();
}
