use super::*;
use crate::archive::tar_writer::TarWriter;
use pipe_kit::Exit;
use proptest::prelude::*;

fn raw(kind: u8, name: &str, content: &[u8]) -> Vec<u8> {
    raw_with(kind, name, content, |_| {})
}

fn raw_with(kind: u8, name: &str, content: &[u8], change: impl Fn(&mut Header)) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::new(kind));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(content.len() as u64);
    change(&mut header);
    header.set_cksum();
    let mut bytes = [header.as_bytes().as_slice(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let body = format!(" {key}={value}\n");
    let length = (body.len()..).find(|n| n.to_string().len() + body.len() == *n).unwrap();
    raw(b'x', "pax", format!("{length}{body}").as_bytes())
}

fn read(parts: &[Vec<u8>]) -> io::Result<Vec<(Entry, Vec<u8>)>> {
    let bytes = [parts.concat(), vec![0; 2 * BLOCK]].concat();
    read_bytes(&bytes)
}

fn read_bytes(bytes: &[u8]) -> io::Result<Vec<(Entry, Vec<u8>)>> {
    let mut reader = TarReader::new(bytes);
    let mut all = Vec::new();
    while let Some(entry) = reader.next()? {
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        all.push((entry, content));
    }
    Ok(all)
}

fn why(parts: &[Vec<u8>]) -> String {
    let error = anyhow::Error::new(read(parts).unwrap_err());
    assert_eq!(pipe_kit::status::of(&error), Exit::Damaged, "{error:#}");
    format!("{error:#}")
}

#[test]
fn what_other_tars_write_is_read() {
    let parts = [
        raw(b'5', "./", b""),
        raw(b'5', "./b/", b""),
        pax("mtime", "1.5"),
        raw(b'0', "b//x", b"one"),
        raw(b'L', "././@LongLink", format!("b/{}\0", "l".repeat(120)).as_bytes()),
        raw(b'0', "b/lll", b"two"),
        pax("path", "b/täl"),
        raw(0, "b/t", b""),
        pax("size", "600"),
        raw_with(b'0', "b/big", &[7; 600], |h| h.set_size(0)),
    ];
    let read = read(&parts).unwrap();
    let names: Vec<_> = read.iter().map(|(e, c)| (e.path.to_str().unwrap(), c.len())).collect();
    let long = format!("b/{}", "l".repeat(120));
    assert_eq!(names, [("b", 0), ("b/x", 3), (&long, 3), ("b/täl", 0), ("b/big", 600)]);
}

#[test]
fn what_could_reach_outside_or_is_no_file_is_refused() {
    let long = |name: &str| raw(b'L', "././@LongLink", name.as_bytes());
    let file = || raw(b'0', "b/f", b"x");
    for (parts, part) in [
        (vec![raw(b'0', "/etc/passwd", b"x")], "absolute"),
        (vec![raw(b'0', "b/../../x", b"x")], "climbs"),
        (vec![raw(b'5', "..", b"")], "climbs"),
        (vec![raw(b'0', "", b"x")], "has no name"),
        (vec![raw(b'0', "b/x/", b"x")], "named like a directory"),
        (vec![raw(b'2', "b/l", b""), file()], "is a symbolic link"),
        (vec![raw(b'1', "b/h", b"")], "is a hard link"),
        (vec![raw(b'3', "b/c", b"")], "is a device"),
        (vec![raw(b'4', "b/b", b"")], "is a device"),
        (vec![raw(b'6', "b/p", b"")], "is a named pipe"),
        (vec![raw(b'S', "b/s", b"")], "is a sparse file"),
        (vec![raw(b'Z', "b/z", b"")], "unknown kind Z"),
        (vec![raw(b'K', "b/k", b"")], "unknown kind K"),
        (vec![raw(b'5', "b/d", b"x")], "directory with content"),
        (vec![pax("GNU.sparse.major", "1"), file()], "sparse"),
        (vec![pax("path", "/etc/x"), file()], "absolute"),
        (vec![pax("path", "../x"), file()], "climbs"),
        (vec![pax("path", "a\0b"), file()], "NUL"),
        (vec![long("../../x"), file()], "climbs"),
        (vec![long("b/a"), long("b/c"), file()], "set twice"),
        (vec![long("b/a"), pax("path", "b/c"), file()], "set twice"),
        (vec![pax("size", "x"), file()], "cannot be read"),
        (vec![pax("size", "18446744073709551615"), file()], "too large"),
        (vec![raw(b'x', "p", b"99 path=x\n"), file()], "cannot be read"),
        (vec![raw(b'x', "p", b"3 path=x\n"), file()], "cannot be read"),
        (vec![raw(b'x', "p", &[b'x'; 70_000]), file()], "of 70000 bytes"),
        (vec![raw(b'g', "p", b"10 path=x\n"), file()], "a global header"),
        (vec![raw_with(b'0', "b/f", b"x", |h| h.set_size(1 << 50))], "truncated"),
        (vec![raw(b'0', &"p".repeat(100), b"x").iter().map(|b| b ^ 1).collect()], "checksum"),
    ] {
        let why = why(&parts);
        assert!(why.contains(part), "{part}: {why}");
    }
    let endless = why(&[long(&"/n".repeat(20_000)[1..]), file()]);
    assert!(endless.contains("too long") && endless.len() < 400, "{}", endless.len());
    let control = why(&[raw(b'2', "b/\u{1b}[2J\n", b"")]);
    assert!(control.contains("\\u{1b}[2J\\n") && !control.contains('\u{1b}'), "{control}");
}

#[test]
fn an_archive_ends_in_its_end_mark_and_nothing_follows() {
    let file = raw(b'0', "b/f", &[1; 1000]);
    let whole = [file.as_slice(), &[0; 1024]].concat();
    assert_eq!(read_bytes(&whole).unwrap().len(), 1);
    assert_eq!(read_bytes(&[whole.as_slice(), &[0; 9000]].concat()).unwrap().len(), 1);
    for cut in 0..whole.len() {
        assert!(read_bytes(&whole[..cut]).is_err(), "cut at {cut}");
    }
    let followed = [whole.as_slice(), &[0; 512], &file].concat();
    assert!(read_bytes(&followed).unwrap_err().to_string().contains("follows"));
    let halfway = [file.as_slice(), &[0; 512], &whole].concat();
    assert!(read_bytes(&halfway).unwrap_err().to_string().contains("first half"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        record in prop::collection::vec(any::<u8>(), 0..60),
        kind: u8,
    ) {
        let _ = read_bytes(&bytes);
        let _ = read(&[raw(b'x', "p", &record), raw(kind, "b/f", &bytes)]);
    }

    #[test]
    fn what_the_writer_writes_is_read_back(
        files in prop::collection::btree_map("[^/\0]{1,40}(/[^/\0]{1,40}){0,4}", "[a-z]{0,600}", 1..5),
    ) {
        let plain = |name: &&String| !name.split('/').any(|part| part == "." || part == "..");
        let names: Vec<&String> = files.keys().filter(plain).collect();
        let mut bytes = Vec::new();
        let mut tar = TarWriter::new(&mut bytes);
        for name in &names {
            let content = files[*name].as_bytes();
            tar.begin_file(name.as_bytes(), content.len() as u64, 5).unwrap();
            tar.content(content).unwrap();
            tar.end_file(content.len() as u64).unwrap();
        }
        tar.finish().unwrap();
        let read = read_bytes(&bytes).unwrap();
        let read: Vec<_> = read.iter().map(|(e, c)| (e.path.to_str().unwrap(), c.clone())).collect();
        let written: Vec<_> =
            names.iter().map(|n| (n.as_str(), files[*n].as_bytes().to_vec())).collect();
        prop_assert_eq!(read, written);
    }
}
