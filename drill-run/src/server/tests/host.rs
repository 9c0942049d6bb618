//! Servers of this host's programs.

use super::*;
use crate::server::{Account, plan};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

/// The inodes of sockets that listen on TCP, in the network of a process.
fn listening(pid: u32) -> BTreeSet<String> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{name}"));
    let tables = ["tcp", "tcp6"].map(read);
    let text = tables.into_iter().filter_map(Result::ok).collect::<String>();
    let fields = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    const LISTEN: &str = "0A";
    let listening = fields.filter(|fields| fields.get(3) == Some(&LISTEN));
    listening.filter_map(|fields| Some((*fields.get(9)?).to_owned())).collect()
}

/// The inodes of a process's sockets.
fn sockets(pid: u32) -> BTreeSet<String> {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let inode = |link: PathBuf| {
        Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    };
    links.filter_map(inode).collect()
}

/// What gives a program a network of its own, if that is permitted here to this user.
fn can_have_own_network(words: &[&str]) -> bool {
    let mut words = words.iter().chain(&["true"]);
    let mut command = Command::new(words.next().unwrap());
    let ended = command.args(words).stderr(Stdio::null()).status();
    ended.is_ok_and(|status| status.success())
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let below = entries.flat_map(|entry| match entry.file_type().unwrap().is_dir() {
        true => files(&entry.path()),
        false => vec![entry.path()],
    });
    below.collect()
}

#[test]
fn a_server_is_reached_by_its_socket_alone_and_leaves_nothing() {
    if !has_postgres() {
        return;
    }
    let place = Place::new();
    let server = PrivateServer::start(&request(&place.dir())).unwrap();
    assert_eq!(
        psql(&server, "select current_user, current_database()").unwrap(),
        "postgres|postgres"
    );
    assert_eq!(
        psql(&server, "show server_version").unwrap().split(' ').next(),
        Some(server.version())
    );
    for (setting, value) in [("listen_addresses", ""), ("fsync", "off"), ("jit", "off")] {
        assert_eq!(psql(&server, &format!("show {setting}")).unwrap(), value, "{setting}");
    }
    // The kernel's word, not the server's.
    let [pid] = servers(&place.dir())[..] else { panic!("one server") };
    assert!(!sockets(pid).is_empty() && sockets(pid).is_disjoint(&listening(pid)));
    assert_eq!(psql(&server, "select count(rolpassword) from pg_authid").unwrap(), "0");
    let is_password = |path: &PathBuf| path.to_string_lossy().to_lowercase().contains("pass");
    assert_eq!(files(&place.dir()).into_iter().find(is_password), None);
    for file in ["", "data", "server.log", "server.json"] {
        let mode = place.dir().join(file).metadata().unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
    let memory = std::fs::read_to_string(place.dir().join("data/postmaster.pid")).unwrap();
    let memory = memory.lines().nth(6).unwrap().split_whitespace().last().unwrap().to_owned();
    let shared = || std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let has = |text: &str| text.split_whitespace().any(|word| word == memory);
    assert!(has(&shared()));
    server.stop().unwrap();
    assert_nothing_is_left(&place.dir());
    assert!(!has(&shared()));
}

#[test]
fn code_of_a_dump_reaches_nothing_that_listens_on_this_host() {
    if !has_postgres() {
        return;
    }
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect =
        |sh: &str| format!("{sh} -c '</dev/tcp/127.0.0.1/{port} && echo reached' 2>/dev/null");
    let reached = Command::new("sh").args(["-c", &connect("bash")]).output().unwrap().stdout;
    assert_eq!(reached, b"reached\n");
    let server = PrivateServer::start(&request(&place.dir())).unwrap();
    if !server.has_own_network() {
        let ids = if rustix::process::geteuid().is_root() {
            &["unshare", "--net"][..]
        } else {
            &["unshare", "-Un"]
        };
        assert!(!can_have_own_network(ids), "it is permitted, and was not done");
        return skipped("the kernel does not let this user have a network of its own");
    }
    let program = format!("{} || echo no", connect("bash").replace('\'', "''"));
    let sql =
        format!("create temp table t (a text); copy t from program '{program}'; select a from t");
    assert_eq!(psql(&server, &sql).unwrap(), "no");
    if rustix::process::geteuid().is_root() {
        let up = "create temp table u (a text); copy u from program 'ip -o link show dev lo up | wc -l'; \
                  select a from u";
        assert_eq!(psql(&server, up).unwrap(), "1");
    }
    server.stop().unwrap();
    assert_nothing_is_left(&place.dir());
}

#[test]
fn a_dropped_server_is_gone_even_while_clients_are_connected() {
    if !has_postgres() {
        return;
    }
    let place = Place::new();
    let server = PrivateServer::start(&request(&place.dir())).unwrap();
    let mut sleep = Command::new("psql");
    sleep.args(["-X", "-c", "select pg_sleep(1000)"]).envs(server.environment("postgres"));
    let mut sleep = sleep.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the query", || {
        let count = "select count(*) from pg_stat_activity where query like '%sleep(1000)'";
        psql(&server, count).unwrap() == "1"
    });
    drop(server);
    assert_nothing_is_left(&place.dir());
    assert!(!sleep.wait().unwrap().success());
}

#[test]
fn a_path_that_no_client_could_name_has_a_short_one_while_the_server_runs() {
    if !has_postgres() {
        return;
    }
    let place = Place::new();
    let long = place.dir().join("x".repeat(120)).join("a b, 'c'");
    private_directory(&long);
    let server = PrivateServer::start(&request(&long)).unwrap();
    assert_eq!(psql(&server, "select 1").unwrap(), "1");
    let short = record::Record::read(&long).unwrap().short.unwrap();
    assert_eq!(short.metadata().unwrap().mode() & 0o777, 0o700);
    assert!(server.connect_hint().contains(short.to_str().unwrap()));
    server.stop().unwrap();
    assert!(!short.exists());
    assert_nothing_is_left(&long);
}

/// The two commands of a server that is kept.
fn hint(dir: &Path) -> String {
    let server = PrivateServer {
        dir: dir.to_owned(),
        place: crate::server::Place::Host {
            socket: record::data(dir).to_str().unwrap().to_owned(),
            programs: PathBuf::new(),
        },
        version: String::new(),
        source: String::new(),
        has_own_network: false,
        undo: crate::server::Undo::new(dir),
    };
    let text = server.connect_hint();
    server.keep();
    text
}

#[test]
fn the_two_commands_of_a_kept_server_reach_and_remove_it() {
    if !has_postgres() {
        return;
    }
    let place = Place::new();
    let mut holder = Holder::start(&[], "keep", &place.dir(), &[]);
    assert_ne!(holder.line(), "it has ended");
    assert_eq!(holder.end(), Some(0));
    assert_eq!(servers(&place.dir()).len(), 1);
    let text = hint(&place.dir());
    let mut sh = Command::new("sh");
    sh.args(["-euc", &text]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let output = sh.output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && out.contains("template0"), "{output:?}");
    wait_until("the server's end", || servers(&place.dir()).is_empty());
    assert!(!place.dir().exists());
}

#[test]
fn the_removal_of_a_kept_server_that_has_ended_leaves_the_process_with_its_id_alone() {
    if !has_postgres() {
        return;
    }
    let place = Place::new();
    let mut holder = Holder::start(&[], "keep", &place.dir(), &[]);
    assert_ne!(holder.line(), "it has ended");
    assert_eq!(holder.end(), Some(0));
    let [pid] = servers(&place.dir())[..] else { panic!("one server") };
    // As in a crash of the host, its file stays.
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    wait_until("the server's end", || servers(&place.dir()).is_empty());
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid_file = record::data(&place.dir()).join("postmaster.pid");
    std::fs::write(pid_file, format!("{}\n", other.id())).unwrap();
    let text = hint(&place.dir());
    let remove = text.lines().nth(1).unwrap();
    assert!(Command::new("sh").args(["-euc", remove]).status().unwrap().success());
    assert!(!place.dir().exists());
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn an_ordinary_user_needs_no_other_and_the_server_runs_as_that_user() {
    if !has_postgres() || !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let (uid, gid) = (65_534, 65_534);
    for dir in [place.root.path(), &place.dir()] {
        std::os::unix::fs::chown(dir, Some(uid), Some(gid)).unwrap();
    }
    let ids = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut holder = Holder::start(&ids, "hold", &place.dir(), &[]);
    assert_ne!(holder.line(), "it has ended");
    let [pid] = servers(&place.dir())[..] else { panic!("one server") };
    assert_eq!(std::fs::metadata(format!("/proc/{pid}")).unwrap().uid(), uid);
    let own = [&ids[..], &["unshare", "--user", "--map-current-user", "--net"]].concat();
    let network = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
    let is_own = network(&pid.to_string()) != network("self");
    assert_eq!(is_own, can_have_own_network(&own));
    assert_eq!(holder.end(), Some(0));
    assert_nothing_is_left(&place.dir());
}

#[test]
fn a_server_of_root_has_no_rights_and_no_groups() {
    if !has_postgres() || !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let caps = ["setpriv", "--inh-caps=+chown"];
    let mut holder = Holder::start(&caps, "hold", &place.dir(), &[]);
    assert_ne!(holder.line(), "it has ended");
    let [pid] = servers(&place.dir())[..] else { panic!("one server") };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.unwrap().trim().to_owned()
    };
    for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&field(name), 16).unwrap(), 0, "{name}");
    }
    assert_eq!((field("NoNewPrivs").as_str(), field("Groups").as_str()), ("1", ""));
    assert!(field("Uid").split('\t').all(|uid| uid != "0"), "{}", field("Uid"));
    assert_eq!(holder.end(), Some(0));
}

#[test]
fn root_needs_no_rights_beyond_those_of_a_container() {
    if !has_postgres() || !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let bound = ["setpriv", "--inh-caps=-all", "--bounding-set=-sys_admin,-sys_ptrace"];
    let mut holder = Holder::start(&bound, "hold", &place.dir(), &[]);
    assert_ne!(holder.line(), "it has ended");
    assert_eq!(holder.end(), Some(0));
    assert_nothing_is_left(&place.dir());
    // What is left is found, too, where nothing can be seen of another user's process but its command line.
    let mut holder = Holder::start(&bound, "keep", &place.dir(), &[]);
    assert_ne!(holder.line(), "it has ended");
    holder.signal(rustix::process::Signal::KILL);
    assert_eq!(servers(&place.dir()).len(), 1);
    let mut removal = Holder::start(&bound, "remove", &place.dir(), &[]);
    assert_eq!(removal.line(), "removed");
    assert_nothing_is_left(&place.dir());
}

/// The directory with other releases that the tests have, if it is there.
fn releases() -> Option<PathBuf> {
    let this = std::env::current_exe().unwrap();
    this.ancestors().map(|dir| dir.join("postgres-majors")).find(|dir| dir.is_dir())
}

#[test]
fn the_oldest_and_the_newest_release_serve() {
    let Some(releases) = releases() else { return skipped("no other releases of PostgreSQL") };
    let copy = tempfile::tempdir().unwrap();
    std::fs::set_permissions(copy.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(releases).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        let major: u32 = name.split('.').next().unwrap().parse().unwrap();
        found.push((major, entry.path().canonicalize().unwrap()));
    }
    found.sort();
    for (major, path) in [found.first().unwrap(), found.last().unwrap()] {
        // Where the server's user can run it.
        let to = copy.path().join(major.to_string());
        let mut cp = Command::new("cp");
        assert!(cp.arg("-R").arg(path).arg(&to).status().unwrap().success());
        let place = Place::new();
        let path = std::env::var("PATH").unwrap();
        let path = format!("{path}:{}", to.join("bin").display());
        let extra = [("PATH", path.as_str()), (MAJOR, &major.to_string())];
        let mut holder = Holder::start(&[], "hold", &place.dir(), &extra);
        let line = holder.line();
        assert!(line.starts_with(&major.to_string()), "{line}");
        assert!(line.ends_with(&to.join("bin").display().to_string()), "{line}");
        assert_eq!(holder.end(), Some(0));
        assert_nothing_is_left(&place.dir());
    }
}

#[test]
fn a_plan_names_what_would_serve_and_makes_nothing() {
    if !has_postgres() {
        return;
    }
    let place = Place::new();
    let dir = place.dir().join("not/there");
    let text = plan(&request(&dir)).unwrap();
    let user = Account::for_server("postgres").unwrap().describe();
    assert!(text.starts_with("PostgreSQL ") && text.contains(&format!("{user}, in ")), "{text}");
    assert_nothing_is_left(&place.dir());
}
