//! `seal.sh` and `unseal.sh`: what leaves the host is encrypted, comes back identical, and whatever was
//! done to it on the way is refused with nothing left behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod hostile;
mod kit;
mod trust;

use kit::{Bench, NAME, age_recipient, bytes_of, spread};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

#[test]
fn a_bundle_sealed_for_a_recipient_comes_back_identical() {
    let bench = Bench::new();
    let (key, recipient) = bench.age_key("key");
    let (other, second) = bench.age_key("other");
    fs::write(bench.path("recipients"), format!("# offsite\n{second}\n")).unwrap();
    let sealed = bench.seal(&["-r", &recipient, "-R", "recipients"]).with(0).out;
    assert!(sealed.starts_with(b"age-encryption.org/"));
    bench.write("sealed", &sealed);
    for key in [key, other] {
        let ended = bench.unseal(&["sealed", "-i", &key, "out"]).with(0);
        assert_eq!(ended.text(), format!("{}\n", bench.path("out").join(NAME).display()));
        bench.assert_identical("out");
        assert_eq!(fs::metadata(bench.path("out")).unwrap().permissions().mode() & 0o777, 0o700);
        fs::remove_dir_all(bench.path("out")).unwrap();
    }
    // From standard input too, and the bundle's own verify has the last word.
    let mut command = bench.script("unseal.sh", &["-", "--identity", "key", "out"]);
    command.stdin(fs::File::open(bench.path("sealed")).unwrap());
    kit::end(&mut command).with(0);
    bench.tool("bundle-manifest", &["verify", &format!("out/{NAME}")]).with(0);
}

#[test]
fn a_bundle_sealed_with_gpg_comes_back_identical() {
    let bench = Bench::new();
    bench.write("pass", b"a passphrase\n");
    bench.write("wrong", b"another\n");
    let with_file = ["--gpg", "-p", "--passphrase-file", "pass"];
    bench.write("sealed", &bench.seal(&with_file).with(0).out);
    bench
        .unseal(&["sealed", "--passphrase-file", "wrong", "out"])
        .with(1)
        .reports("cannot be decrypted");
    bench.assert_nothing("out");
    bench.unseal(&["sealed", "--passphrase-file", "pass", "out"]).with(0);
    bench.assert_identical("out");

    bench.gpg(&["--passphrase", "", "--quick-gen-key", "backup@example.org", "default", "default"]);
    bench.write("for-key", &bench.seal(&["--gpg", "-r", "backup@example.org"]).with(0).out);
    bench.unseal(&["for-key", "out-key"]).with(0);
    bench.assert_identical("out-key");
    let mut elsewhere = bench.script("unseal.sh", &["for-key", "nowhere"]);
    fs::create_dir(bench.path("empty-home")).unwrap();
    elsewhere.env("GNUPGHOME", bench.path("empty-home"));
    kit::end(&mut elsewhere).with(1).reports("No secret key");
    bench.assert_nothing("nowhere");
}

#[test]
fn a_passphrase_for_age_is_asked_for_on_the_terminal() {
    let bench = Bench::new();
    // Both ask on the terminal alone; a pseudo-terminal is one.
    let run = |line: &str, words: &[&str]| {
        let mut command = bench.command("script", &["-qec", line, "/dev/null"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut message = String::new();
        for (count, word) in words.iter().enumerate() {
            let mut byte = [0];
            while message.matches("passphrase").count() <= count
                || !message.trim_end().ends_with(':')
            {
                assert_eq!(child.stdout.as_mut().unwrap().read(&mut byte).unwrap(), 1, "{message}");
                message.push(char::from(byte[0]));
            }
            message.push('\n');
            child.stdin.as_mut().unwrap().write_all(format!("{word}\n").as_bytes()).unwrap();
        }
        let out = child.wait_with_output().unwrap();
        (out.status.code(), message + &String::from_utf8_lossy(&out.stdout))
    };
    let scripts = test_kit::tools::workspace().join("scripts");
    let scripts = scripts.display();
    let (code, message) = run(
        &format!("bash {scripts}/seal.sh {} -p > sealed", bench.bundle().display()),
        &["one two three", "one two three"],
    );
    assert_eq!(code, Some(0), "{message}");
    let unseal = format!("bash {scripts}/unseal.sh sealed out");
    let (code, message) = run(&unseal, &["wrong"]);
    assert_eq!(code, Some(1), "{message}");
    bench.assert_nothing("out");
    let (code, message) = run(&unseal, &["one two three"]);
    assert_eq!(code, Some(0), "{message}");
    bench.assert_identical("out");
    // And neither is printed to one.
    let (code, message) =
        run(&format!("bash {scripts}/seal.sh {} -r age1x", bench.bundle().display()), &[]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("standard output is a terminal"), "{message}");
}

#[test]
fn what_the_two_commands_by_hand_made_opens_too() {
    let bench = Bench::new();
    let recipient = bench.age_key("key").1;
    bench.write("pass", b"a passphrase\n");
    bench.sh(&format!(
        "tar czf b.tar.gz -C '{}' {NAME}",
        bench.bundle().parent().unwrap().display()
    ));
    bench.gpg(&["--passphrase-file", "pass", "--symmetric", "--cipher-algo", "AES256", "b.tar.gz"]);
    bench.sh(&format!(
        "age -r {recipient} -o bundle.age b.tar.gz; age -a -r {recipient} -o armoured b.tar.gz"
    ));
    bench.unseal(&["b.tar.gz.gpg", "--passphrase-file", "pass", "from-gpg"]).with(0);
    bench.unseal(&["bundle.age", "-i", "key", "from-age"]).with(0);
    bench.unseal(&["armoured", "-i", "key", "from-armoured"]).with(0);
    bench.unseal(&["b.tar.gz", "from-clear"]).with(0);
    for dir in ["from-gpg", "from-age", "from-armoured", "from-clear"] {
        bench.assert_identical(dir);
    }
}

#[test]
fn a_bundle_of_the_older_script_goes_there_and_back() {
    let bench = Bench::new();
    for name in ["SHA256SUMS", "minio/.obj-mirror/index.jsonl", "minio/.obj-mirror/SHA256SUMS"] {
        fs::remove_file(bench.bundle().join(name)).unwrap();
    }
    fs::remove_dir_all(bench.bundle().join("minio/.obj-mirror")).unwrap();
    fs::write(bench.bundle().join("MANIFEST.txt"), "Piprio backup\nVersion: 3.1\n").unwrap();
    let recipient = bench.age_key("key").1;
    bench.write("sealed", &bench.seal(&["-r", &recipient]).with(0).out);
    bench.unseal(&["sealed", "-i", "key", "out"]).with(0).reports("has no seal");
    bench.assert_identical("out");
    // One that this toolkit made does not pass for one without its seal.
    let made = Bench::new();
    fs::remove_file(made.bundle().join("SHA256SUMS")).unwrap();
    made.seal(&["-r", &recipient]).with(4).reports("SHA256SUMS is missing");
}

#[test]
fn another_key_opens_nothing() {
    let bench = Bench::new();
    let recipient = bench.age_key("key").1;
    bench.age_key("other");
    bench.write("sealed", &bench.seal(&["-r", &recipient]).with(0).out);
    bench.unseal(&["sealed", "-i", "other", "out"]).with(1).reports("no identity matched");
    bench.assert_nothing("out");
    bench.unseal(&["sealed", "-i", "missing", "out"]).with(1).reports("missing");
    bench.unseal(&["missing", "-i", "key", "out"]).with(1).reports("missing");
    bench.unseal(&["sealed", "--passphrase-file", "key", "out"]).with(2);
    bench.assert_nothing("out");
}

#[test]
fn a_cut_or_changed_age_file_is_refused_wherever_it_was_changed() {
    let bench = Bench::new();
    let recipient = bench.age_key("key").1;
    let sealed = bench.seal(&["-r", &recipient]).with(0).out;
    let (mut damaged, mut unopened) = (0, 0);
    for at in spread(sealed.len(), 24) {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1 << (at % 8);
        for bytes in [&sealed[..at], &flipped] {
            match bench.refused(bytes, &["-i", "key"]) {
                4 => damaged += 1,
                // The part that holds the key: damage there is no other than a wrong key.
                1 => {
                    assert!(at < 200, "offset {at}");
                    unopened += 1;
                }
                other => panic!("offset {at}: status {other}"),
            }
        }
    }
    assert!(damaged >= 36 && damaged + unopened == 48, "{damaged} and {unopened}");
    // What follows the end, and an end that comes twice.
    bench.refused(&[sealed.as_slice(), b"x"].concat(), &["-i", "key"]);
    bench.refused(&[sealed.as_slice(), &sealed].concat(), &["-i", "key"]);
}

#[test]
fn a_cut_or_changed_gpg_file_is_refused_wherever_it_was_changed() {
    let bench = Bench::new();
    bench.write("pass", b"a passphrase\n");
    let with_file = ["--gpg", "-p", "--passphrase-file", "pass"];
    let sealed = bench.seal(&with_file).with(0).out;
    for at in spread(sealed.len(), 14) {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1 << (at % 8);
        for bytes in [&sealed[..at], &flipped] {
            let status = bench.refused(bytes, &["--passphrase-file", "pass"]);
            assert!(status == 4 || (status == 1 && at < 64), "offset {at}: status {status}");
        }
    }
}

#[test]
fn a_bundle_that_is_there_is_never_overwritten() {
    let bench = Bench::new();
    let recipient = bench.age_key("key").1;
    bench.write("sealed", &bench.seal(&["-r", &recipient]).with(0).out);
    let root = bench.bundle().parent().unwrap().display().to_string();
    let before = bytes_of(&bench.bundle());
    bench.unseal(&["sealed", "-i", "key", &root]).with(5).reports("exists already");
    assert_eq!(bytes_of(&bench.bundle()), before);
    assert_eq!(
        fs::read_dir(root)
            .unwrap()
            .filter(|e| {
                let name = e.as_ref().unwrap().file_name();
                name != NAME && name != ".lock"
            })
            .count(),
        0
    );
}

#[test]
fn a_directory_where_another_run_is_at_work_is_left_alone() {
    let bench = Bench::new();
    bench.write("sealed", &bench.seal(&["-r", &age_recipient(&bench)]).with(0).out);
    let dir = bench.path("out");
    fs::create_dir(&dir).unwrap();
    fs::create_dir(dir.join(".piprio_20260101T000000Z.partial")).unwrap();
    let lock = fs::File::create(dir.join(".lock")).unwrap();
    lock.lock().unwrap();
    bench.unseal(&["sealed", "-i", "key", "out"]).with(5).reports("another run");
    assert!(dir.join(".piprio_20260101T000000Z.partial").exists());
    drop(lock);
    // A killed run's leftover goes.
    bench.unseal(&["sealed", "-i", "key", "out"]).with(0);
    assert!(!dir.join(".piprio_20260101T000000Z.partial").exists());
    bench.assert_identical("out");
}

#[test]
fn a_damaged_bundle_is_not_sealed_and_leaves_an_empty_file() {
    let bench = Bench::new();
    let recipient = bench.age_key("key").1;
    // Found by its size before anything is written; found by its bytes on the way.
    let dump = bench.bundle().join("database.sql.gz");
    let whole = fs::read(&dump).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let large = bench.bundle().join("minio/large");
    let object = fs::read(&large).unwrap();
    let mut changed = object.clone();
    changed[object.len() - 1] ^= 1;
    for (file, content) in [(&dump, &whole[1..]), (&dump, &flipped), (&large, &changed)] {
        let before = fs::read(file).unwrap();
        fs::write(file, content).unwrap();
        for (encrypt, target) in
            [(format!("-r {recipient}"), "sealed"), (format!("-r {recipient}"), "again")]
        {
            let line = format!(
                "bash {}/seal.sh {} {encrypt} > {target}",
                test_kit::tools::workspace().join("scripts").display(),
                bench.bundle().display()
            );
            let ended = kit::end(&mut bench.command("bash", &["-c", &line])).with(4);
            assert!(ended.err.contains("damaged"), "{}", ended.err);
            assert_eq!(fs::metadata(bench.path(target)).unwrap().len(), 0);
        }
        fs::write(file, before).unwrap();
    }
    bench.seal(&["-r", &recipient]).with(0);
}

#[test]
fn what_cannot_be_done_is_reported_before_anything_is_read() {
    let bench = Bench::new();
    for arguments in [
        &[][..],
        &["-r"],
        &["-p", "-r", "x"],
        &["--wrong"],
        &["--gpg", "-R", "x"],
        &["-p", "--passphrase-file", "x"],
        &["-r", "x", "another"],
    ] {
        bench.seal(arguments).with(2);
    }
    bench.seal(&["-r", "nonsense"]).with(1).reports("age");
    bench.seal(&["--gpg", "-r", "nobody@example.org"]).with(1).reports("gpg --import");
    let mut none = bench.script("seal.sh", &[]);
    kit::end(&mut none).with(2);
    kit::end(&mut bench.script("unseal.sh", &[])).with(2);
    for script in ["seal.sh", "unseal.sh"] {
        assert!(kit::end(&mut bench.script(script, &["-h"])).with(0).text().contains(script));
    }
    // Without the programs, the line that installs them.
    fs::create_dir(bench.path("bare")).unwrap();
    for program in ["bash", "tty", "find"] {
        bench.sh(&format!("ln -s $(command -v {program}) bare/"));
    }
    let tools = test_kit::tools::bin_dir().unwrap();
    std::os::unix::fs::symlink(tools.join("bundle-manifest"), bench.path("bare/bundle-manifest"))
        .unwrap();
    bench.write("sealed.age", b"age-encryption.org/v1\n");
    bench.write("sealed.gpg", b"\x8c\x0d\x04\x09");
    let bundle = bench.bundle().display().to_string();
    for (script, arguments, package) in [
        ("seal.sh", vec![&*bundle, "-r", "x"], "apt-get install age"),
        ("seal.sh", vec![&*bundle, "--gpg", "-r", "x"], "apt-get install gnupg"),
        ("unseal.sh", vec!["sealed.age", "out"], "apt-get install age"),
        ("unseal.sh", vec!["sealed.gpg", "out"], "apt-get install gnupg"),
    ] {
        let mut command = bench.script(script, &arguments);
        kit::end(command.env("PATH", bench.path("bare"))).with(1).reports(package);
    }
    bench.assert_nothing("out");
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let bench = Bench::new();
    let sealed = bench.seal(&["-r", &age_recipient(&bench)]).with(0).out;
    let mut command = bench.script("unseal.sh", &["-", "-i", "key", "out"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&sealed[..sealed.len() * 3 / 4]).unwrap();
    let partial = bench.path("out").join(format!(".{NAME}.partial/minio"));
    test_kit::process::wait_until("a part to be unpacked", || Ok(partial.exists())).unwrap();
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    bench.assert_nothing("out");
}
