//! Inputs that do not end well: nothing is stored, and nothing is left.

use crate::kit::{Bench, MIB, OBJECT, finish, framed, sha256};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;
use test_kit::process::wait_until;
use test_kit::s3::faults::{Act, Fault};

#[test]
fn a_command_that_fails_leaves_nothing_however_much_it_wrote() {
    let bench = Bench::new();
    for size in ["0", "5", "20M"] {
        for (end, shows) in [("exit 3", "status 3"), ("kill -9 $$", "signal 9")] {
            let script = format!("head -c {size} /dev/zero; {end}");
            let ended = bench.run(&["put", OBJECT, "--", "sh", "-c", &script]).with(1);
            ended.reports(shows).reports("was not stored");
            bench.is_empty();
        }
    }
    bench.run(&["put", OBJECT, "--", "no-such-program"]).with(1).reports("not found");
    bench.is_empty();
}

#[test]
fn a_pipe_whose_end_proves_nothing_is_warned_of() {
    let bench = Bench::new();
    bench.pipe(b"abc", &[]).with(0).reports("its end looks the same if its writer has failed");
    let checked = bench.pipe(b"abc", &["--sha256", &sha256(b"abc")]).with(0);
    assert!(!checked.err.contains("warning"), "{}", checked.err);
}

#[test]
fn an_input_with_another_hash_leaves_nothing() {
    let bench = Bench::new();
    for size in [3, 20 * MIB] {
        let (_, bytes) = bench.file("a", size);
        let wrong = sha256(&bytes[1..]);
        bench.put("a", &["--sha256", &wrong]).with(4).reports("was not stored");
        bench.pipe(&bytes[1..], &["--sha256", &sha256(&bytes)]).with(4);
        bench.is_empty();
    }
}

#[test]
fn no_beginning_of_a_framed_stream_is_stored() {
    let bench = Bench::new();
    let (_, bytes) = bench.file("a", 17 * MIB);
    let stream = framed(&bytes);
    // Before any part, in a part, at its end, before the last record, in it.
    let part = 8 * MIB;
    for end in [0, 16, part / 2, part + 56 + 8 * 5, stream.len() - 13, stream.len() - 1] {
        let ended = bench.pipe(&stream[..end], &["--framed"]).with(1);
        ended.reports("ended before its last record");
        bench.is_empty();
    }
    let mut other = stream.clone();
    other[1000] ^= 1;
    bench.pipe(&other, &["--framed"]).with(1).reports("the server answered 400");
    bench.is_empty();
    bench.pipe(&bytes, &["--framed"]).with(1).reports("not a framed stream");
    bench.is_empty();
    bench.pipe(&stream, &["--framed"]).with(0);
    assert!(bench.stored() == bytes);
}

#[test]
fn a_file_that_changes_meanwhile_is_not_stored() {
    let bench = Bench::new();
    let (path, _) = bench.file("a", 20 * MIB);
    let slow = Act::Slow(Duration::from_secs(2));
    bench.s3.fault(&Fault { times: 1, ..Fault::always("UploadPart", slow) }).unwrap();
    let child = bench.start(&["put", OBJECT, path.to_str().unwrap()]);
    bench.wait_for("UploadPart", 1);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
    finish(child).with(1).reports("changed while it was read").reports("was not stored");
    bench.is_empty();
}

#[test]
fn a_signal_aborts_the_upload_though_the_input_is_silent() {
    let bench = Bench::new();
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let before = bench.s3.count("UploadPart").unwrap();
        let mut child = bench.start(&["put", OBJECT]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&vec![7; 17 * MIB]).unwrap();
        bench.wait_for("UploadPart", before + 2);
        kill_process(Pid::from_child(&child), signal).unwrap();
        finish(child).with(status);
        drop(stdin);
        bench.is_empty();
    }
}

#[test]
fn a_signal_to_the_whole_group_aborts_the_upload_and_ends_the_command() {
    let bench = Bench::new();
    let script = "head -c 17M /dev/zero; exec sleep 1000";
    let child = bench.start(&["put", OBJECT, "--", "sh", "-c", script]);
    bench.wait_for("UploadPart", 2);
    let pid = child.id();
    let of_command = || {
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        list.unwrap_or_default().split_whitespace().next().map(str::to_owned)
    };
    let command: i32 = of_command().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(command).unwrap(), Signal::INT).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(finish(child).code, Some(130));
    wait_until("the command's end", || {
        Ok(!std::path::Path::new(&format!("/proc/{command}")).exists())
    })
    .unwrap();
    bench.is_empty();
}

#[test]
fn a_server_that_fails_for_good_ends_the_run_though_the_input_is_silent() {
    let bench = Bench::new();
    bench.s3.fault(&Fault::always("UploadPart", Act::Garble)).unwrap();
    let mut child = bench.start(&["put", OBJECT]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&vec![7; 17 * MIB]).unwrap();
    finish(child).with(1).reports("BadDigest");
    drop(stdin);
    bench.is_empty();
}
