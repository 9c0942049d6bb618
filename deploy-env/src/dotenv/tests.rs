use super::*;
use proptest::prelude::*;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn outer() -> BTreeMap<String, String> {
    environment(&[("OUT", "outside"), ("EMPTY", ""), ("BOTH", "outside")])
}

/// The value of `A` after parsing.
fn a(text: &str) -> Option<String> {
    parse(text.as_bytes(), &outer()).unwrap().values.get("A").cloned()
}

fn error(bytes: &[u8]) -> String {
    parse(bytes, &outer()).unwrap_err().to_string()
}

#[test]
fn values_read_as_compose_reads_them() {
    let table = [
        ("A=1", "1"),
        ("A=", ""),
        ("A = spaced  \n", "spaced"),
        ("  A=indented", "indented"),
        ("export A=1", "1"),
        ("export\tA=1", "1"),
        ("A: yaml", "yaml"),
        ("A=with inner spaces", "with inner spaces"),
        ("A=crlf\r\nB=2\r\n", "crlf"),
        ("\u{feff}A=bom", "bom"),
        ("# comment\n\nA=1", "1"),
        ("A=1 # comment", "1"),
        ("A=1#no comment", "1#no comment"),
        ("A=#no-comment", "#no-comment"),
        ("A= # comment", ""),
        ("A=it's", "it's"),
        ("A=a\"b\"", "a\"b\""),
        ("A=C:\\path\\n", "C:\\path\\n"),
        ("A=x=y=z", "x=y=z"),
        ("A=redis://h:1/0", "redis://h:1/0"),
        ("A='single $OUT ${OUT} \\n # x'", "single $OUT ${OUT} \\n # x"),
        ("A='it\\'s'", "it's"),
        ("A='back\\\\'", "back\\\\"),
        ("A='' # comment", ""),
        ("A=\"double $OUT\" # comment", "double outside"),
        ("A=\"q\\\"q\"", "q\"q"),
        ("A=\"1\\n2\\t3\\\\n\"", "1\n2\t3\\n"),
        ("A=\"\\d\\0101\\08\"", "\\dA\\08"),
        ("A=\"two\nlines\"\nB=1", "two\nlines"),
        ("A='two\nlines'", "two\nlines"),
        ("A=\"\\$OUT\"", "$OUT"),
        ("A=1\nA=2", "2"),
    ];
    for (text, value) in table {
        assert_eq!(a(text).as_deref(), Some(value), "{text:?}");
    }
}

#[test]
fn variables_are_interpolated_as_compose_does() {
    let table = [
        ("A=$OUT", "outside"),
        ("A=${OUT}/x", "outside/x"),
        ("A=$OUT.x", "outside.x"),
        ("A=$$OUT", "$OUT"),
        ("A=a$$", "a$"),
        ("B=1\nA=$B", "1"),
        ("BOTH=file\nA=$BOTH", "outside"),
        ("A=$NONE", ""),
        ("A=${NONE-d}", "d"),
        ("A=${NONE:-d}", "d"),
        ("A=${EMPTY-d}", ""),
        ("A=${EMPTY:-d}", "d"),
        ("A=${OUT:-d}", "outside"),
        ("A=${OUT:+a}", "a"),
        ("A=${OUT+a}", "a"),
        ("A=${EMPTY+a}", "a"),
        ("A=${EMPTY:+a}", ""),
        ("A=${NONE+a}", ""),
        ("A=${OUT:?e}", "outside"),
        ("A=${EMPTY?e}", ""),
        ("A=${NONE:-${OUT}}", "outside"),
        ("A=${NONE:-${MISS:-x y}}z", "x yz"),
        ("A=${OUT:-${NONE:?e}}", "outside"),
        ("A=${NONE:--1}", "-1"),
        ("A=\"${NONE:-q}\"", "q"),
        ("A='${NONE:-q}'", "${NONE:-q}"),
        ("A=`id`$$(id)", "`id`$(id)"),
    ];
    for (text, value) in table {
        assert_eq!(a(text).as_deref(), Some(value), "{text:?}");
    }
}

#[test]
fn a_bare_key_inherits_from_the_environment() {
    let parsed = parse(b"OUT\nNOWHERE\nexport BOTH", &outer()).unwrap();
    assert_eq!(parsed.values, environment(&[("OUT", "outside"), ("BOTH", "outside")]));
}

#[test]
fn export_alone_on_its_line_is_a_name_whatever_ends_the_line() {
    for text in ["export\nA=1", "export\r\nA=1\r\n", "export \nA=1", "A=1\nexport\t"] {
        assert_eq!(a(text).as_deref(), Some("1"), "{text:?}");
    }
}

#[test]
fn a_variable_that_is_set_nowhere_is_reported() {
    let parsed = parse(b"B=1\nA=$NONE$B", &outer()).unwrap();
    assert_eq!(parsed.unset, vec![(2, "A".into(), "NONE".into())]);
}

#[test]
fn errors_name_the_line_and_never_the_value() {
    let table: [(&[u8], &str); 12] = [
        (b"B=1\nhunter2 hunter2\n", "line 2: not of the form KEY=value"),
        (b"hunter2!=1", "line 1: not of the form KEY=value"),
        (b"=hunter2", "line 1: not of the form KEY=value"),
        (b"B=\"1\n2\"\nA=\"hunter2", "line 3: A: the quote is never closed"),
        (b"A='hunter2\\'", "line 1: A: the quote is never closed"),
        (b"A=\"x\" hunter2", "line 1: A: text after the closing quote"),
        (b"\nA=hunter2${X", "line 2: A: a ${ is never closed"),
        (b"A=${NONE:?hunter2}", "line 1: A: it requires NONE, which is not set"),
        (b"A=${X hunter2}", "line 1: A: a ${ that is not closed after the variable's name"),
        (b"B=1\nA=hunter2\0", "line 2: a NUL byte"),
        (b"A=hunter2\n\nB=\xFF", "line 3: bytes that are not UTF-8"),
        (b"A=\"\\0000hunter2\"", "line 1: A: an escaped NUL"),
    ];
    for (bytes, message) in table {
        assert_eq!(error(bytes), message);
    }
    assert!(error(b"A=hunter2$").contains("single quotes"));
    assert!(!error(b"A=hunter2$").contains("hunter2"));
}

#[test]
fn lines_that_double_each_other_end_in_an_error() {
    let mut text = "V0=xxxxxxxxxxxxxxxx\n".to_owned();
    for i in 1..60 {
        text += &format!("V{i}=$V{}$V{}\n", i - 1, i - 1);
    }
    assert!(error(text.as_bytes()).contains("too long"));
    let deep = format!("A={}{}", "${N:-".repeat(100_000), "}".repeat(100_000));
    assert!(error(deep.as_bytes()).contains("nested too deep"));
}

proptest! {
    #[test]
    fn never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes, &outer());
    }

    #[test]
    fn never_panics_on_what_looks_like_a_file(text in "([A-C$={}'\"\\\\#:?+0é \n-]|OUT|export ){0,60}") {
        let _ = parse(text.as_bytes(), &outer());
    }

    #[test]
    fn single_quotes_keep_any_text(text in "[^'\\\\\0]*") {
        prop_assert_eq!(a(&format!("A='{text}'")), Some(text));
    }
}
