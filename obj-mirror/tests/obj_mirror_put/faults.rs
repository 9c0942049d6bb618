//! Servers and networks that fail for a while, or for good.

use crate::kit::{BUCKET, Bench, KEY, MIB, OBJECT, finish};
use std::fs::File;
use std::time::Duration;
use test_kit::s3::faults::{Act, Fault, clear};

#[test]
fn parts_that_fail_are_sent_again_and_no_others() {
    let bench = Bench::new();
    let (_, bytes) = bench.file("a", 33 * MIB);
    for act in [Act::Unavailable, Act::Broken, Act::HangUp, Act::Garble] {
        let before = bench.s3.count("UploadPart").unwrap();
        for operation in ["CreateMultipartUpload", "CompleteMultipartUpload"] {
            bench.s3.fault(&Fault { times: 1, ..Fault::always(operation, act) }).unwrap();
        }
        bench.s3.fault(&Fault { skip: 1, times: 2, ..Fault::always("UploadPart", act) }).unwrap();
        bench.put("a", &[]).with(0);
        assert!(bench.stored() == bytes, "{act:?}");
        assert_eq!(bench.s3.count("UploadPart").unwrap() - before, 5 + 2, "{act:?}");
        clear(&bench.s3.endpoint()).unwrap();
        bench.s3.client().delete((BUCKET, KEY)).unwrap();
        bench.is_empty();
    }
}

#[test]
fn a_small_object_that_fails_is_sent_again() {
    let bench = Bench::new();
    let (_, bytes) = bench.file("a", 1000);
    for act in [Act::Unavailable, Act::Broken, Act::HangUp, Act::Garble] {
        bench.s3.fault(&Fault { times: 2, ..Fault::always("PutObject", act) }).unwrap();
        bench.put("a", &[]).with(0);
        assert!(bench.stored() == bytes, "{act:?}");
    }
}

#[test]
fn what_cannot_be_completed_leaves_nothing_and_names_the_cause() {
    let bench = Bench::new();
    bench.file("a", 17 * MIB);
    for operation in ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"] {
        bench.s3.fault(&Fault::always(operation, Act::Broken)).unwrap();
        let shows = match operation {
            "CompleteMultipartUpload" => {
                "it is not known whether s3://offsite/dir/a.tar.age was stored"
            }
            _ => "s3://offsite/dir/a.tar.age was not stored",
        };
        let ended = bench.put("a", &[]).with(1).reports(shows);
        // A server that answers before it has read a part may close the connection before its answer is read.
        if operation != "UploadPart" {
            ended.reports("InternalError");
        }
        clear(&bench.s3.endpoint()).unwrap();
        bench.is_empty();
    }
    let mut command = bench.command(&["put", "s3://nowhere/a", "a"]);
    crate::kit::end(&mut command).with(1).reports("bucket nowhere does not exist");
    let mut command = bench.command(&["put", OBJECT, "a"]);
    crate::kit::end(command.env("AWS_SECRET_ACCESS_KEY", "wrong"))
        .with(1)
        .reports("keys are refused");
    bench.is_empty();
}

#[test]
fn a_download_that_is_interrupted_continues_at_that_byte() {
    let bench = Bench::new();
    let (_, bytes) = bench.file("a", 33 * MIB);
    bench.put("a", &[]).with(0);
    bench.s3.fault(&Fault { times: 9, ..Fault::always("GetObject", Act::Cut) }).unwrap();
    let before = bench.s3.stats().unwrap()["bytes_out"].as_u64().unwrap();
    let got = bench.get(&[]).with(0);
    assert!(got.out == bytes);
    let sent = bench.s3.stats().unwrap()["bytes_out"].as_u64().unwrap() - before;
    assert!(sent < 2 * bytes.len() as u64, "{sent} bytes were sent");
    for act in [Act::Unavailable, Act::Broken, Act::HangUp] {
        bench.s3.fault(&Fault { times: 3, ..Fault::always("GetObject", act) }).unwrap();
        assert!(bench.get(&[]).with(0).out == bytes, "{act:?}");
    }
    bench.s3.fault(&Fault::always("GetObject", Act::Broken)).unwrap();
    bench.get(&[]).with(1).reports("InternalError");
}

#[test]
fn other_bytes_than_were_stored_are_found_and_a_redirected_file_is_emptied() {
    let bench = Bench::new();
    for size in [1000, 17 * MIB] {
        bench.file("a", size);
        bench.put("a", &[]).with(0);
        bench.s3.fault(&Fault { times: 1, ..Fault::always("GetObject", Act::Garble) }).unwrap();
        let mut command = bench.command(&["get", OBJECT]);
        command.stdout(File::create(bench.path("got")).unwrap());
        crate::kit::end(&mut command).with(4).reports("it is damaged");
        assert_eq!(std::fs::metadata(bench.path("got")).unwrap().len(), 0);
        bench.get(&[]).with(0);
    }
    bench.run(&["get", "s3://offsite/none"]).with(1).reports("has no such object");
    bench.run(&["get", "s3://nowhere/none"]).with(1).reports("does not exist");
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_is_not_mixed() {
    let bench = Bench::new();
    bench.file("a", 17 * MIB);
    bench.put("a", &[]).with(0);
    bench.s3.fault(&Fault { times: 1, ..Fault::always("GetObject", Act::Cut) }).unwrap();
    let slow = Act::Slow(Duration::from_secs(1));
    bench.s3.fault(&Fault { times: 1, ..Fault::always("GetObject", slow) }).unwrap();
    let child = bench.start(&["get", OBJECT]);
    let reading = std::thread::spawn(move || finish(child));
    bench.wait_for("GetObject", 2);
    bench.s3.put(KEY, &[], &vec![9; 17 * MIB]).unwrap();
    reading.join().unwrap().with(1).reports("it changed while it was read; run it again");
}

#[test]
fn no_more_bytes_a_second_go_than_asked_for() {
    let bench = Bench::new();
    bench.file("a", 3_000_000);
    let begun = std::time::Instant::now();
    bench.put("a", &["--max-rate", "2M"]).with(0);
    // The first piece goes at once.
    assert!(begun.elapsed() > Duration::from_millis(1200));
    let begun = std::time::Instant::now();
    bench.get(&["--max-rate", "2M"]).with(0);
    assert!(begun.elapsed() > Duration::from_millis(1200));
}
