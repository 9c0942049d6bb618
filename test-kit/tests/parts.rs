//! The throwaway parts themselves: what other tests use must hold.

use anyhow::Result;
use std::io::{Read, Write};
use std::net::TcpStream;
use test_kit::s3::client::Client;
use test_kit::s3::faults::{Act, Fault};
use test_kit::tools::own_program;
use test_kit::{Postgres, Redis, S3, postgres};

#[test]
fn a_cluster_asks_for_its_password_and_is_gone_afterwards() -> Result<()> {
    let mut cluster = Postgres::start()?;
    assert_eq!(cluster.psql("postgres", "select current_user")?, postgres::USER);
    let mut wrong = cluster.client("psql");
    wrong.env("PGPASSWORD", "wrong");
    let error = postgres::psql(wrong, "postgres", &[], "select 1").unwrap_err();
    assert!(format!("{error:#}").contains("ended with status 2"), "{error:#}");
    let failed = cluster.psql("postgres", "select 1; select 1 / 0; select 2").unwrap_err();
    assert!(format!("{failed:#}").contains("ended with status 3"), "{failed:#}");

    cluster.kill_hard()?;
    assert!(cluster.psql("postgres", "select 1").is_err());
    cluster.start_again()?;
    assert_eq!(cluster.psql("postgres", "select 1")?, "1");
    let port = cluster.port();
    drop(cluster);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    Ok(())
}

#[test]
fn a_cluster_of_another_locale_can_be_had() -> Result<()> {
    let initdb = vec!["--locale=C".to_owned(), "--encoding=SQL_ASCII".to_owned()];
    let cluster = Postgres::with(postgres::Options { initdb, ..Default::default() })?;
    assert_eq!(cluster.psql("postgres", "show server_encoding")?, "SQL_ASCII");
    Ok(())
}

#[test]
fn the_fixture_holds_what_a_dump_can_get_wrong_and_is_the_same_each_time() -> Result<()> {
    let cluster = Postgres::start()?;
    cluster.create_tenants("first_db", 2, 30)?;
    cluster.create_tenants("other_db", 2, 30)?;
    let count = |sql: &str| cluster.psql("first_db", sql);
    assert_eq!(count("select count(*) from tenant_0002.documents")?, "30");
    assert_eq!(count("select count(*) from tenant_0001.activity")?, "90");
    assert_eq!(count("select count(*) from pg_largeobject_metadata")?, "5");
    assert_eq!(
        count("select count(*) from public.awkward where value like E'%\\n\\\\\\\\.\\n%'")?,
        "2"
    );
    assert_eq!(count("select nextval('tenant_0001.invoice_numbers')")?, "1155");
    // Large objects get numbers of their own in every database.
    let tables = |database: &str| -> Result<String> {
        let dump = cluster.dump(database)?.replace(database, "DB");
        let large = |l: &&str| ["lo_", "LARGE OBJECT", "BLOB"].iter().any(|w| l.contains(w));
        Ok(dump.lines().filter(|l| !large(l)).collect::<Vec<_>>().join("\n"))
    };
    cluster.psql("other_db", "select nextval('tenant_0001.invoice_numbers')")?;
    assert_eq!(tables("first_db")?, tables("other_db")?);
    Ok(())
}

#[test]
fn redis_asks_for_its_password_and_keeps_databases_apart() -> Result<()> {
    let redis = Redis::with(Some("cache pass"))?;
    assert_eq!(redis.command(3, &["SET", "key", "a value"])?, "OK");
    assert_eq!(redis.command(3, &["GET", "key"])?, "a value");
    assert_eq!(redis.command(3, &["KEYS", "*"])?, "key");
    assert_eq!(redis.command(0, &["GET", "key"])?, "");
    assert_eq!(redis.url(3), format!("redis://:cache pass@127.0.0.1:{}/3", redis.port()));
    let refused = test_kit::redis::command(redis.port(), None, 0, &["PING"]).unwrap_err();
    assert!(refused.to_string().contains("NOAUTH"), "{refused}");
    Ok(())
}

#[test]
fn an_object_comes_back_as_it_was_put_under_any_key() -> Result<()> {
    let s3 = S3::start("documents")?;
    let client = s3.client();
    let keys =
        ["a", "a/b", "a/../b", "..", "/", "//x", "x//", "sp ace+%2F?&=#", "ü/漢字", "e<&>\"'"];
    for key in keys {
        let headers = [
            ("content-type", "text/x-test; charset=utf-8"),
            ("content-encoding", "gzip"),
            ("content-disposition", "attachment; filename=\"x\""),
            ("content-language", "de"),
            ("cache-control", "max-age=7"),
            ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
            ("x-amz-meta-owner", "me"),
            ("x-amz-tagging", "kind=a%20b&n=1"),
        ];
        s3.put(key, &headers, key.as_bytes())?;
        let object = client.get(("documents", key))?;
        assert_eq!(object.body, key.as_bytes());
        for (name, value) in &headers[..7] {
            assert_eq!(object.header(name), Some(*value), "{key}");
        }
        assert_eq!(client.tags(("documents", key))?, ["kind=a b", "n=1"]);
    }
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    assert_eq!(client.list("documents", "")?, sorted);
    assert_eq!(client.list("documents", "a/")?, ["a/../b", "a/b"]);
    client.delete(("documents", "a"))?;
    assert!(client.get(("documents", "a")).is_err());
    assert!(client.get(("documents", "a/b")).is_ok());
    assert_eq!(s3.count("PutObject")?, keys.len() as u64);
    Ok(())
}

#[test]
fn listings_continue_past_a_thousand_keys() -> Result<()> {
    let s3 = S3::start("documents")?;
    for n in 0..1005 {
        s3.put(&format!("k/{n:04}"), &[], b"")?;
    }
    let page = s3.client().request("GET", ("documents", ""), &[("max-keys", "5000")], &[], b"")?;
    assert_eq!(page.text().matches("<Key>").count(), 1000);
    assert!(page.text().contains("<IsTruncated>true</IsTruncated>"));
    assert_eq!(s3.client().list("documents", "k/")?.len(), 1005);
    Ok(())
}

#[test]
fn parts_make_one_object_with_the_etag_that_s3_gives() -> Result<()> {
    let s3 = S3::start("documents")?;
    let (client, at) = (s3.client(), ("documents", "big"));
    let begun = client.request("POST", at, &[("uploads", "")], &[("content-type", "a/b")], b"")?;
    let text = begun.text();
    let id = text.split("<UploadId>").nth(1).unwrap().split('<').next().unwrap();
    let part = vec![b'x'; 5 * 1024 * 1024];
    let mut etags = Vec::new();
    for (number, body) in [("1", part.as_slice()), ("2", b"end")] {
        let query = [("partNumber", number), ("uploadId", id)];
        let answer = client.request("PUT", at, &query, &[], body)?;
        etags.push(answer.header("etag").unwrap().to_owned());
    }
    let xml = |numbers: [usize; 2]| {
        let part = |n: usize| {
            format!("<Part><PartNumber>{n}</PartNumber><ETag>{}</ETag></Part>", etags[n - 1])
        };
        format!(
            "<CompleteMultipartUpload>{}{}</CompleteMultipartUpload>",
            part(numbers[0]),
            part(numbers[1])
        )
    };
    let query = [("uploadId", id)];
    let disordered = client.request("POST", at, &query, &[], xml([2, 1]).as_bytes())?;
    assert_eq!(disordered.status, 400);
    let done = client.request("POST", at, &query, &[], xml([1, 2]).as_bytes())?;
    assert_eq!(done.status, 200, "{}", done.text());
    let object = client.get(at)?;
    assert_eq!(object.body.len(), part.len() + 3);
    assert_eq!(object.header("content-type"), Some("a/b"));
    assert!(object.header("etag").unwrap().ends_with("-2\""));
    Ok(())
}

#[test]
fn the_storage_shows_the_faults_that_it_is_asked_for() -> Result<()> {
    let s3 = S3::start("documents")?;
    let (client, at) = (s3.client(), ("documents", "a"));
    s3.put("a", &[], &[b'x'; 100_000])?;
    let once = |act| Fault { times: 1, ..Fault::always("GetObject", act) };
    s3.fault(&once(Act::Unavailable))?;
    assert_eq!(client.request("GET", at, &[], &[], b"")?.status, 503);
    s3.fault(&Fault { skip: 1, ..once(Act::Cut) })?;
    assert_eq!(client.get(at)?.body.len(), 100_000);
    assert!(client.get(at).is_err());
    assert_eq!(client.get(at)?.body.len(), 100_000);
    s3.fault(&once(Act::Die))?;
    assert!(client.get(at).is_err());
    assert!(client.list("documents", "").is_err());
    Ok(())
}

#[test]
fn wrong_keys_and_missing_buckets_are_distinguished() -> Result<()> {
    let s3 = S3::start("documents")?;
    let ask = |client: &Client, at| client.request("GET", at, &[], &[], b"").unwrap();
    let wrong_secret = Client::new(&s3.endpoint(), test_kit::object_storage::ACCESS_KEY, "no");
    let wrong_access = Client::new(&s3.endpoint(), "NO", "no");
    for (client, code) in
        [(&wrong_secret, "SignatureDoesNotMatch"), (&wrong_access, "InvalidAccessKeyId")]
    {
        let answer = ask(client, ("documents", ""));
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains(code), "{}", answer.text());
    }
    let unsigned = ureq::get(format!("{}/documents", s3.endpoint())).call();
    assert!(matches!(unsigned, Err(ureq::Error::StatusCode(403))));
    let missing = ask(&s3.client(), ("no-such-bucket", ""));
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("NoSuchBucket"));
    Ok(())
}

#[test]
fn a_bucket_that_holds_something_is_not_removed() -> Result<()> {
    let s3 = S3::start("documents")?;
    s3.put("a", &[], b"")?;
    assert!(s3.client().delete_bucket("documents").is_err());
    s3.client().delete(("documents", "a"))?;
    s3.client().delete_bucket("documents")?;
    assert!(s3.client().list("documents", "").is_err());
    s3.client().create_bucket("documents")?;
    s3.client().create_bucket("documents")?;
    assert!(s3.client().list("documents", "")?.is_empty());
    Ok(())
}

#[test]
fn an_app_is_ready_while_what_it_needs_is_there() -> Result<()> {
    let redis = Redis::start()?;
    let port = test_kit::process::free_port()?;
    let dir = tempfile::tempdir()?;
    let mut command = std::process::Command::new(own_program("app-service")?);
    command.args(["--listen", &format!("127.0.0.1:{port}")]);
    command.args(["--needs", &format!("127.0.0.1:{}", redis.port())]);
    let service = test_kit::process::Server::spawn(&mut command, &dir.path().join("log"))?;
    test_kit::process::wait_until("the service", || Ok(service.log().ends_with('\n')))?;
    let get = |path: &str| -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    assert!(get("/ready")?.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get("/ready")?.ends_with("\r\n\r\nok\n"));
    assert!(get("/")?.starts_with("HTTP/1.1 404 "));
    drop(redis);
    assert!(get("/ready")?.starts_with("HTTP/1.1 503 "));
    Ok(())
}
