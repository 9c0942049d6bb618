use super::*;
use proptest::prelude::*;

fn masked(text: &str) -> String {
    mask(text).into_iter().map(|line| line.text + "\n").collect()
}

#[test]
fn what_is_no_secret_is_shown_as_it_is() {
    for text in [
        "",
        "PIPRIO_DOMAIN=example.org",
        "POSTGRES_HOST=postgres",
        "export POSTGRES_PORT=5432",
        "  # POSTGRES_DB=piprio",
        "log_level: 'debug'",
        "BACKUP_ROOT=/mnt/disk1/backups/of/piprio",
        "S3_ENDPOINT=https://s3.eu-west-1.example.org:9000",
        "S3_BUCKET=piprio-prod-2-documents-eu-west-1",
        "S3_SECRET_KEY_FILE=/run/secrets/s3_secret_key",
        "READINESS_URLS=\"app=http://127.0.0.1:8080/ready web=http://web:80/\"",
        "REDIS_URL=redis://127.0.0.1:6379/0",
        "FEATURE_FLAGS=\"drafts exports\"",
        "PUBLIC_URL=https://${PIPRIO_DOMAIN}/app",
        "SIGNUP=off",
        "EMPTY=",
        "POSTGRES_PASSWORD=",
        "POSTGRES_PORT=5432\r",
    ] {
        assert_eq!(masked(text).trim_end_matches('\n'), text);
    }
}

#[test]
fn a_value_is_hidden_unless_its_key_is_known_to_be_harmless() {
    for (text, shown) in [
        ("POSTGRES_PASSWORD=hunter2", "POSTGRES_PASSWORD=***"),
        ("ANYTHING_ELSE=hunter2", "ANYTHING_ELSE=***"),
        ("PIN=1234", "PIN=***"),
        ("  export  S3_SECRET_KEY = 'hunter2'", "  export  S3_SECRET_KEY = ***"),
        ("SIGNING_KEY: hunter2", "SIGNING_KEY: ***"),
        ("#POSTGRES_PASSWORD=hunter2", "#POSTGRES_PASSWORD=***"),
        ("PASSWORD_DB=hunter2", "PASSWORD_DB=***"),
        ("SECRET_KEY_DATABASE=hunter2", "SECRET_KEY_DATABASE=***"),
        ("api-token_service=hunter2", "api-token_service=***"),
        ("PUBLIC_SECRET_KEY=hunter2", "PUBLIC_SECRET_KEY=***"),
        ("PUBLIC_OPTS=--password hunter2", "PUBLIC_OPTS=***"),
        ("DB_NAME=password=hunter2", "DB_NAME=***"),
        ("FEATURE_FLAGS='{\"crm\":{\"apiToken\":\"hunter2\"}}'", "FEATURE_FLAGS=***"),
        (
            "READINESS_URLS=a=https://h.example.org/services/T0/hunter20hunter20hunter2",
            "READINESS_URLS=***",
        ),
        ("FEATURE_FLAGS='{\"url\":\"${URL}\",\"pin\":\"hunter2\"}'", "FEATURE_FLAGS=***"),
        ("POSTGRES_HOST=db\t# hunter2", "POSTGRES_HOST=db\t# ***"),
        ("## old: TOKEN=hunter2", "## old: ***"),
        ("# the old password was hunter2", "# ***"),
        ("POSTGRES_HOST=db # hunter2", "POSTGRES_HOST=db # ***"),
        ("POSTGRES_HOST='db'   # hunter2", "POSTGRES_HOST='db'   # ***"),
        ("POSTGRES_HOST='db' hunter2", "POSTGRES_HOST=***"),
        ("EMPTY= # hunter2", "EMPTY= ***"),
        ("# see redis://:hunter2@host", "# ***"),
        ("- API_TOKEN=hunter2", "***"),
        ("sentry_dsn=hunter2", "sentry_dsn=***"),
        ("pgpass=hunter2\r", "pgpass=***\r"),
        ("REDIS_URL=redis://:hunter2@host:6379/0", "REDIS_URL=redis://***@host:6379/0"),
        ("REDIS_URL=\"redis://u:p@ss/hunter2@db/x\"", "REDIS_URL=\"redis://***@db/x\""),
        ("REDIS_URL=redis://u:#hunter2@db", "REDIS_URL=redis://***@db"),
        ("REDIS_URL=redis://u:hunter2?@db", "REDIS_URL=***"),
        ("REDIS_URL=u:hunter2@db", "REDIS_URL=***"),
        ("S3_ENDPOINT=https://db/x?password=hunter2", "S3_ENDPOINT=***"),
        ("READINESS_URLS=a=http://a/x b=http://u:hunter2@b/", "READINESS_URLS=a=http://***@b/"),
        ("DATABASE_URL=postgres://piprio:hunter2@db/x", "DATABASE_URL=***"),
        ("WEBHOOK_URL=https://hooks.example.org/hunter2", "WEBHOOK_URL=***"),
        ("CONNECTORS={\"crm\":{\"apiToken\":\"hunter2\"}}", "CONNECTORS=***"),
        ("JAVA_OPTS=-Dtls.password=hunter2", "JAVA_OPTS=***"),
        ("no assignment at all hunter2", "***"),
        ("aHVudGVyMghunter2aHVudGVyMg==", "***"),
        ("JBSWY3DPEHPK3PXPHUNTER2JBSWY==", "***"),
        ("TOKEN\t=hunter2", "TOKEN\t=***"),
    ] {
        assert_eq!(masked(text), format!("{shown}\n"), "{text:?}");
    }
}

#[test]
fn a_value_over_several_lines_is_hidden_to_its_end() {
    for (text, shown) in [
        ("KEY=\"one\nB=hunter2\nC=x\"\nDOMAIN=d", "KEY=***\n***\n***\nDOMAIN=d"),
        ("KEY='one\nhunter2'\nDOMAIN=d", "KEY=***\n***\nDOMAIN=d"),
        ("NOTE=\"one\nhunter2\"\nDOMAIN=d", "NOTE=***\n***\nDOMAIN=d"),
        ("KEY=\"a\\\"\nB=hunter2\"\nDOMAIN=d", "KEY=***\n***\nDOMAIN=d"),
        ("# KEY=\"one\n# B=hunter2\"\nDOMAIN=d", "# KEY=***\n***\nDOMAIN=d"),
        ("KEY=one\\\nB=hunter2\\\nC=two\nDOMAIN=d", "KEY=***\n***\n***\nDOMAIN=d"),
        (
            "KEY=\"-----BEGIN PRIVATE KEY-----\nA_HOST=hunter2\n-----END PRIVATE KEY-----\"\nDOMAIN=d",
            "KEY=***\n***\n***\nDOMAIN=d",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\nDOMAIN=d",
            "***\n***\n***\nDOMAIN=d",
        ),
        ("A_HOST=\"one\nB_HOST=hunter2\"\nDOMAIN=d", "A_HOST=***\n***\nDOMAIN=d"),
        ("A_HOST=`one`\nDOMAIN=d", "A_HOST=`one`\nDOMAIN=d"),
        ("A_HOST=`one\nB_HOST=hunter2\n`\nDOMAIN=d", "A_HOST=***\n***\n***\nDOMAIN=d"),
        ("apiKey=\"one\nB_HOST=hunter2\nx\"\nDOMAIN=d", "***\n***\n***\nDOMAIN=d"),
        ("- A_HOST=\"one\nB_HOST=hunter2\"\nDOMAIN=d", "***\n***\nDOMAIN=d"),
    ] {
        assert_eq!(masked(text), format!("{shown}\n"), "{text:?}");
    }
}

#[test]
fn a_quote_that_only_seemed_to_open_does_not_open_what_follows_it() {
    let text = "# NOTE: \"prose\nPASSWORD=\"one\nuser=hunter2\"\n";
    assert!(!masked(text).contains("hunter2"), "{}", masked(text));
}

fn secret_key() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &["PASSWORD", "TOKEN", "KEY", "SECRET", "DSN", "SALT", "URL"];
    let words = proptest::sample::select(WORDS);
    ("[A-Z]{0,6}_?", words, "(_[0-9]{0,6})?", any::<bool>()).prop_map(|(a, word, b, lower)| {
        let key = format!("{a}{word}{b}");
        if lower { key.to_lowercase() } else { key }
    })
}

/// A line, or several, that hold the secret.
fn planted(secret: &'static str) -> impl Strategy<Value = String> {
    let filler = "[ -~]{0,12}";
    let lead = proptest::sample::select(vec!["", "export ", "  ", "#", "# ", "#export ", "- "]);
    let sep = proptest::sample::select(vec!["=", " = ", ":", ": ", "= "]);
    let simple = (lead.clone(), secret_key(), sep, filler, filler)
        .prop_map(move |(lead, key, sep, a, b)| format!("{lead}{key}{sep}{a}{secret}{b}"));
    let inner = "[ -!#-\\[\\]-~]{0,12}";
    let lines = proptest::collection::vec(inner, 0..4);
    let quoted = (lead, secret_key(), lines.clone(), lines).prop_map(move |(lead, key, a, b)| {
        let (a, b) = (a.join("\n"), b.join("\n"));
        format!("{lead}{key}=\"{a}\n{secret}\n{b}\"")
    });
    let url = ("[a-z]{1,8}", "[a-z]{0,8}", "[!-~]{0,6}", "[!-~]{0,6}", "[a-z.]{1,9}(:[0-9]{2,4})?")
        .prop_map(move |(scheme, user, a, b, host)| {
            format!("REDIS_URL={scheme}://{user}:{a}{secret}{b}@{host}/x")
        });
    prop_oneof![simple, quoted, url]
}

proptest! {
    #[test]
    fn a_planted_secret_never_shows(
        before in proptest::collection::vec("[A-Z]{1,8}=[a-z0-9./ ]{0,12}", 0..4),
        planted in planted("hunter2"),
        after in proptest::collection::vec("[A-Z]{1,8}=[a-z0-9./ ]{0,12}", 0..4),
    ) {
        let text = [before, vec![planted], after].concat().join("\n");
        let shown = masked(&text);
        prop_assert!(!shown.contains("hunter2"), "{}\nshown as\n{}", text, shown);
        prop_assert_eq!(mask(&text).len(), text.split_terminator('\n').count());
    }

    #[test]
    fn any_text_has_a_line_shown_for_each_of_its_lines(text in "\\PC{0,40}(\n\\PC{0,40}){0,6}") {
        prop_assert_eq!(mask(&text).len(), text.split_terminator('\n').count());
    }
}
