use super::super::shape::tests::picks;
use super::super::substitute::encoded;
use super::*;
use proptest::prelude::*;

fn text_map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn replaced(variables: &[(&str, &str)], files: &[(&str, &[u8])], data_keys: &[&str]) -> Replaced {
    let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
    let data_keys = data_keys.iter().map(|name| (*name).to_owned()).collect();
    let variables = text_map(variables);
    Archive { variables: &variables, files: &files, data_keys: &data_keys }.replaced(&mut picks(7))
}

const PASSWORD: &str = "0f1e2d3c4b5a6978";
const OTHER: &str = "s3cr3t/with@signs";

#[test]
fn one_secret_has_one_replacement_wherever_it_stands() {
    let url = format!("postgres://piprio:{PASSWORD}@postgres/piprio");
    let encoded = format!("redis://:{}@redis:6379/0", encoded(OTHER));
    let it = replaced(
        &[
            ("DATABASE_URL", &url),
            ("PGPASS_LINE", &format!("postgres:5432:*:piprio:{PASSWORD}")),
            ("JSON", &format!("{{\"p\":\"{PASSWORD}\"}}")),
            ("REDIS_PASSWORD", OTHER),
            ("REDIS_URL", &encoded),
            ("POSTGRES_USER", "piprio"),
            ("PIPRIO_DOMAIN", "piprio.example.com"),
            ("POSTGRES_PASSWORD_FILE", "/run/secrets/postgres_password"),
        ],
        &[("postgres_password", format!("{PASSWORD}\n").as_bytes())],
        &[],
    );
    let new = String::from_utf8(it.files["postgres_password"].clone()).unwrap();
    let new = new.strip_suffix('\n').unwrap();
    assert!(new != PASSWORD && new.len() == PASSWORD.len());
    assert!(new.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)), "{new}");
    assert_eq!(it.variables["DATABASE_URL"], url.replace(PASSWORD, new));
    assert_eq!(it.variables["PGPASS_LINE"], format!("postgres:5432:*:piprio:{new}"));
    assert_eq!(it.variables["JSON"], format!("{{\"p\":\"{new}\"}}"));
    let other = &it.variables["REDIS_PASSWORD"];
    assert_eq!(it.variables["REDIS_URL"], format!("redis://:{other}@redis:6379/0"));
    for unchanged in ["POSTGRES_USER", "PIPRIO_DOMAIN", "POSTGRES_PASSWORD_FILE"] {
        assert!(!it.outcomes.contains_key(unchanged), "{unchanged}");
    }
    assert_eq!(it.variables["PIPRIO_DOMAIN"], "piprio.example.com");
}

#[test]
fn data_keys_stay_and_so_does_what_has_their_value() {
    let it = replaced(
        &[
            ("MASTER_KEY", "the-key-of-the-data"),
            ("SESSION_SECRET", "session-session"),
            ("OLD_KEY", "the-key-of-the-data"),
        ],
        &[("keys/column", b"\x00\x01\xff\xfe"), ("signing", b"\x80\x81\x82\x83\x84\x85\x86\x87")],
        &["MASTER_KEY", "keys/column"],
    );
    let kept = |why: &str| Some(&Outcome::Kept(why.to_owned())).cloned();
    assert_eq!(it.variables["MASTER_KEY"], "the-key-of-the-data");
    assert_eq!(it.variables["OLD_KEY"], "the-key-of-the-data");
    assert_ne!(it.variables["SESSION_SECRET"], "session-session");
    assert_eq!(it.outcomes.get("MASTER_KEY").cloned(), kept(DATA_KEY));
    assert_eq!(it.outcomes.get("OLD_KEY").cloned(), kept("it is the data key MASTER_KEY"));
    assert_eq!(it.outcomes.get("secrets/keys/column").cloned(), kept(DATA_KEY));
    assert_eq!(it.files.keys().collect::<Vec<_>>(), ["signing"]);
    assert_eq!(it.files["signing"].len(), 8);
}

#[test]
fn a_password_that_is_also_a_name_stays_and_a_short_one_is_no_part_of_another_word() {
    let it = replaced(
        &[
            ("POSTGRES_PASSWORD", "piprio"),
            ("POSTGRES_DB", "piprio"),
            ("DATABASE_URL", "postgres://piprio:piprio@h/piprio"),
            ("SMTP_PASSWORD", "abcde"),
            ("SMTP_URL", "smtp://abcde:abcde@abcde.example.com"),
            ("SUBJECT", "abcdefgh"),
        ],
        &[],
        &[],
    );
    assert_eq!(it.variables["POSTGRES_PASSWORD"], "piprio");
    assert_eq!(it.variables["DATABASE_URL"], "postgres://piprio:piprio@h/piprio");
    let why = "POSTGRES_DB has the same value".to_owned();
    assert_eq!(it.outcomes["POSTGRES_PASSWORD"], Outcome::Kept(why.clone()));
    assert_eq!(it.outcomes["DATABASE_URL"], Outcome::Kept(why));
    let new = &it.variables["SMTP_PASSWORD"];
    assert_ne!(new, "abcde");
    assert_eq!(it.variables["SMTP_URL"], format!("smtp://abcde:{new}@abcde.example.com"));
    assert_eq!(it.variables["SUBJECT"], "abcdefgh");
}

#[test]
fn what_no_random_text_can_stand_for_stays_but_for_the_secrets_in_it() {
    let pem = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let passwd = format!("a:1:{PASSWORD}\nb:2:{PASSWORD}\n");
    let json = format!("{{\"password\": \"{PASSWORD}\"}}");
    let it = replaced(
        &[("DB_PASSWORD", PASSWORD)],
        &[
            ("jwt.pem", pem),
            ("users", passwd.as_bytes()),
            ("app.json", json.as_bytes()),
            ("empty", b""),
        ],
        &[],
    );
    let new = &it.variables["DB_PASSWORD"];
    assert_eq!(it.files["users"], passwd.replace(PASSWORD, new).into_bytes());
    assert_eq!(it.files["app.json"], json.replace(PASSWORD, new).into_bytes());
    assert_eq!(it.files.len(), 2);
    assert_eq!(it.outcomes["secrets/jwt.pem"], Outcome::Kept("a PEM file".into()));
    assert_eq!(it.outcomes["secrets/users"], Outcome::Kept("a file of several lines".into()));
    assert_eq!(it.outcomes["secrets/app.json"], Outcome::Kept("a structured file".into()));
    assert!(!it.outcomes.contains_key("secrets/empty"));
}

#[test]
fn a_percent_sign_in_a_password_is_one_outside_of_urls() {
    let it = replaced(
        &[
            ("A_PASSWORD", "pass%41word"),
            ("A_URL", "redis://:pass%2541word@h"),
            ("TEXT", "x pass%41word"),
        ],
        &[],
        &[],
    );
    let new = &it.variables["A_PASSWORD"];
    assert_ne!(new, "pass%41word");
    assert_eq!(it.variables["A_URL"], format!("redis://:{new}@h"));
    assert_eq!(it.variables["TEXT"], format!("x {new}"));
}

proptest! {
    /// No secret is left, whatever it looks like and wherever it stands, and one value stays one value.
    #[test]
    fn no_secret_is_left_anywhere(
        secret in "[A-Za-z0-9!#$%&()*+,@^_|~?\\\\'\"-][A-Za-z0-9!#$%&()*+,@^_|~?\\\\'\":./-]{7,20}",
        file in "[A-Za-z0-9!#$%&()*+,@^_|~?\\\\:-]{8,24}",
        seed in 0u64..1000,
    ) {
        prop_assume!(!secret.contains("://") && !file.contains(&secret) && !secret.contains(&file));
        prop_assume!(secret.matches(':').count() < 4 && file.matches(':').count() < 4);
        let variables = text_map(&[
            ("APP_SECRET", &secret),
            ("COPY", &secret),
            ("IN_TEXT", &format!("before {secret} after")),
            ("IN_URL", &format!("amqp://u:{}@h/v?token={}", encoded(&secret), encoded(&file))),
            ("IN_PAIRS", &format!("host=h password={file} x=y")),
        ]);
        let files = [("a".to_owned(), file.clone().into_bytes())].into();
        let none = BTreeSet::new();
        let archive = Archive { variables: &variables, files: &files, data_keys: &none };
        let it = archive.replaced(&mut picks(seed));
        let new_file = String::from_utf8(it.files["a"].clone()).unwrap();
        let new = it.variables["APP_SECRET"].clone();
        prop_assert_eq!(&it.variables["COPY"], &new);
        prop_assert_eq!(&it.variables["IN_TEXT"], &format!("before {new} after"));
        prop_assert_eq!(&it.variables["IN_URL"], &format!("amqp://u:{new}@h/v?token={new_file}"));
        prop_assert_eq!(&it.variables["IN_PAIRS"], &format!("host=h password={new_file} x=y"));
        for value in it.variables.values().chain([&new_file]) {
            for old in [&secret, &file, &encoded(&secret), &encoded(&file)] {
                prop_assert!(!value.contains(old.as_str()), "{} in {}", old, value);
            }
        }
    }
}
