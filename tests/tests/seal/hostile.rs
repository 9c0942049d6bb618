//! Archives made by an attacker: nothing lies outside, nothing is left.

use crate::kit::{Bench, NAME};
use std::fs;
use std::process::Stdio;

/// Makes an archive with Python's `tarfile`, which writes what is asked for: the script has `tar`, and
/// `add(name, content, **fields)`.
fn archive(bench: &Bench, script: &str) -> Vec<u8> {
    let prelude = format!(
        "import io, sys, tarfile\n\
         B = '{NAME}'\n\
         tar = tarfile.open('hostile', 'w:gz', format=tarfile.PAX_FORMAT)\n\
         def add(name, content=b'', type=tarfile.REGTYPE, **fields):\n    \
             info = tarfile.TarInfo(name); info.type = type; info.size = len(content)\n    \
             [setattr(info, k, v) for k, v in fields.items()]\n    \
             tar.addfile(info, io.BytesIO(content))\n\
         add(B, type=tarfile.DIRTYPE)\n\
         add(B + '/MANIFEST.txt', b'Piprio backup')\n"
    );
    let python = format!("{prelude}{script}\ntar.close()\n");
    crate::kit::end(&mut bench.command("python3", &["-c", &python])).with(0);
    fs::read(bench.path("hostile")).unwrap()
}

#[test]
fn nothing_that_an_attacker_packs_gets_outside_or_stays() {
    let bench = Bench::new();
    bench.write("outside", b"untouched");
    let outside = bench.path("outside").display().to_string();
    let absolute = format!("add('{outside}', b'x')");
    let hard = format!("add(B + '/h', type=tarfile.LNKTYPE, linkname='{outside}')");
    let cases = [
        (absolute.as_str(), "absolute"),
        ("add('../outside', b'x')", "climbs"),
        ("add(B + '/../../outside', b'x')", "climbs"),
        ("add('other', b'x')", "not part of a bundle"),
        ("add('piprio_20260421T020001Z/x', b'x')", "two bundles"),
        (
            "add(B + '/l', type=tarfile.SYMTYPE, linkname='../..'); add(B + '/l/outside', b'x')",
            "symbolic link",
        ),
        (&hard, "hard link"),
        ("add(B + '/d', type=tarfile.CHRTYPE)", "device"),
        ("add(B + '/d', type=tarfile.BLKTYPE)", "device"),
        ("add(B + '/d', type=tarfile.FIFOTYPE)", "named pipe"),
        ("add(B + '/s', type=tarfile.GNUTYPE_SPARSE)", "sparse"),
        ("add(B + '/s', b'x', pax_headers={'GNU.sparse.realsize': '1000000000000'})", "sparse"),
        ("add(B + '/x', b'x', pax_headers={'path': '../outside'})", "climbs"),
        ("add(B + '/MANIFEST.txt', b'again')", "twice"),
        ("add(B + '/MANIFEST.txt/below', b'x')", "is below a file"),
        ("add(B + '/x\\x1b[2J', type=tarfile.SYMTYPE)", "x\\u{1b}[2J"),
    ];
    for (script, why) in cases {
        let archive = archive(&bench, script);
        bench.write("refused", &archive);
        let ended = bench.unseal(&["refused", "gone"]).with(4).reports(why);
        assert!(!ended.err.contains('\u{1b}'), "{}", ended.err);
        bench.assert_nothing("gone");
        assert_eq!(fs::read(bench.path("outside")).unwrap(), b"untouched", "{why}");
    }
    // Whole as an archive, and no whole bundle.
    assert_eq!(bench.refused(&archive(&bench, ""), &[]), 4);
}

#[test]
fn a_declared_size_is_not_trusted() {
    let bench = Bench::new();
    // A header that declares more than any disk holds, and content that it does not have.
    let huge = archive(
        &bench,
        "info = tarfile.TarInfo(B + '/huge'); info.size = 1 << 60; tar.addfile(info)",
    );
    assert_eq!(bench.refused(&huge, &[]), 5);
    let lying = archive(
        &bench,
        "info = tarfile.TarInfo(B + '/lying'); info.size = 100000; tar.addfile(info)",
    );
    assert_eq!(bench.refused(&lying, &[]), 4);
}

/// Runs `unpack` into a filesystem of 64 MiB; nothing where none can be mounted here.
fn on_a_small_disk(bench: &Bench, file: &str) -> Option<(Option<i32>, String)> {
    let script = "mkdir small && mount -t tmpfs -o size=64m,nr_inodes=2000 none small || exit 77
        bundle-manifest unpack \"$0\" small/out; code=$?
        find small -mindepth 1 -printf 'left: %p\\n'; df --output=used small | tail -n 1; exit $code";
    let mut command = bench.command("unshare", &["-m", "bash", "-c", script, file]);
    let Ok(out) = command.stdin(Stdio::null()).output() else { return None };
    let message =
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    if out.status.code() == Some(77) || message.contains("unshare failed") {
        return None;
    }
    let _ = fs::remove_dir(bench.path("small"));
    Some((out.status.code(), message))
}

#[test]
fn a_disk_is_never_filled_and_all_room_is_given_back() {
    let bench = Bench::new();
    let bomb = archive(&bench, "[add(B + '/%d' % n, bytes(1 << 22)) for n in range(100)]");
    assert!(bomb.len() < 1 << 20);
    bench.write("bomb", &bomb);
    let many = archive(&bench, "[add(B + '/%d' % n) for n in range(3000)]");
    bench.write("many", &many);
    bench.sh(&format!("tar cf whole -C '{}' {NAME}", bench.bundle().parent().unwrap().display()));
    for (file, code) in [("bomb", 5), ("many", 5), ("whole", 0)] {
        let Some((ended, message)) = on_a_small_disk(&bench, file) else {
            return test_kit::skipped!("no filesystem can be mounted here");
        };
        assert_eq!(ended, Some(code), "{file}: {message}");
        if code == 5 {
            assert!(
                message.contains("not enough space") && !message.contains("left: "),
                "{file}: {message}"
            );
            assert!(message.lines().any(|l| l.trim() == "0"), "{file}: {message}");
        }
    }
}
