//! Keys that are not in the environment: from a file, and from services that hand them out for a while.

use crate::kit::{Bench, Ended, OBJECT, end};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use test_kit::object_storage::{ACCESS_KEY, SECRET_KEY};

/// A service that answers with what `answer` makes of each request's line, headers and body, and the requests so far.
struct Service {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

fn service(answer: fn(&str, usize) -> (u16, String)) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                if reader.read_line(&mut request).unwrap_or(0) == 0 {
                    break;
                }
            }
            let length = request.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
            });
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).unwrap();
            request += &String::from_utf8_lossy(&body);
            let number = noted.lock().unwrap().len();
            let (status, text) = answer(&request, number);
            noted.lock().unwrap().push(request);
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", text.len());
            let _ = (&stream).write_all((head + &text).as_bytes());
        }
    });
    Service { url, seen }
}

/// A run with these variables instead of keys.
fn run(bench: &Bench, variables: &[(&str, &str)]) -> Ended {
    let mut command = bench.command(&["put", OBJECT, "a"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    end(command.env("HOME", bench.path("home")).envs(variables.iter().copied()))
}

fn document(expiration: &str) -> String {
    format!(
        r#"{{"Code": "Success", "AccessKeyId": "{ACCESS_KEY}", "SecretAccessKey": "{SECRET_KEY}",
        "Token": "a-session", "Expiration": "{expiration}"}}"#
    )
}

#[test]
fn a_profile_has_the_keys() {
    let bench = Bench::new();
    bench.file("a", 10);
    let text = format!(
        "[default]\naws_access_key_id = no\naws_secret_access_key = no\n\
         [ship]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    );
    std::fs::create_dir_all(bench.path("home/.aws")).unwrap();
    std::fs::write(bench.path("home/.aws/credentials"), &text).unwrap();
    run(&bench, &[("AWS_PROFILE", "ship")]).with(0);
    let file = bench.path("home/.aws/credentials");
    let named = ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap());
    run(&bench, &[named, ("AWS_PROFILE", "ship"), ("HOME", "/")]).with(0);
    run(&bench, &[named]).with(1).reports("refused");
    run(&bench, &[("AWS_PROFILE", "other")]).with(1).reports("has no profile other");
    run(&bench, &[]).with(2).reports("AWS_ACCESS_KEY_ID is not set");
}

#[test]
fn a_web_identity_is_exchanged_for_keys_and_its_token_is_in_no_url() {
    let bench = Bench::new();
    bench.file("a", 10);
    let service = service(|_, _| {
        let text = format!(
            "<AssumeRoleWithWebIdentityResponse><Result><Credentials><AccessKeyId>{ACCESS_KEY}</AccessKeyId><SecretAccessKey>{SECRET_KEY}\
             </SecretAccessKey><SessionToken>t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration>\
             </Credentials></Result></AssumeRoleWithWebIdentityResponse>"
        );
        (200, text)
    });
    std::fs::write(bench.path("token"), "planted+token\n").unwrap();
    let token = bench.path("token");
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/ship"),
        ("AWS_ENDPOINT_URL_STS", &service.url),
    ];
    run(&bench, &variables).with(0);
    let seen = service.seen.lock().unwrap();
    let (line, rest) = seen[0].split_once("\r\n").unwrap();
    assert_eq!(line, "POST / HTTP/1.1");
    assert!(rest.contains("WebIdentityToken=planted%2Btoken") && rest.contains("role%2Fship"));
    assert_eq!(seen.len(), 1);
}

#[test]
fn a_service_that_refuses_is_named_and_nothing_of_the_token_is() {
    let bench = Bench::new();
    bench.file("a", 10);
    let service = service(|_, _| {
        (403, "<R><Error><Code>InvalidIdentityToken</Code><Message>no</Message></Error></R>".into())
    });
    std::fs::write(bench.path("token"), "planted-token").unwrap();
    let token = bench.path("token");
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn"),
        ("AWS_ENDPOINT_URL_STS", &service.url),
    ];
    let ended = run(&bench, &variables).with(1).reports("obtaining keys from 127.0.0.1");
    assert!(ended.err.contains("InvalidIdentityToken") && !ended.err.contains("planted"));
    assert_eq!(service.seen.lock().unwrap().len(), 1);
}

#[test]
fn the_services_of_containers_and_virtual_machines_have_the_keys() {
    let bench = Bench::new();
    bench.file("a", 10);
    let container = service(|_, _| (200, document("2100-01-01T00:00:00Z")));
    std::fs::write(bench.path("token"), "planted-token").unwrap();
    let (token, url) = (bench.path("token"), format!("{}/v1/keys", container.url));
    let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap());
    run(&bench, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url), token]).with(0);
    let first = container.seen.lock().unwrap()[0].clone();
    assert!(first.starts_with("GET /v1/keys ") && first.contains("authorization: planted-token"));
    let elsewhere = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://x.example/");
    run(&bench, &[elsewhere, token]).with(1).reports("only over https");

    let machine = service(|request, _| match request {
        r if r.starts_with("PUT /latest/api/token ") => (200, "session-of-metadata".into()),
        r if !r.contains("x-aws-ec2-metadata-token: session-of-metadata") => (401, String::new()),
        r if r.contains("/security-credentials/role%20a ") => {
            (200, document("2100-01-01T00:00:00Z"))
        }
        _ => (200, "role a\n".into()),
    });
    let enabled = ("AWS_EC2_METADATA_DISABLED", "false");
    let url = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.url.as_str());
    run(&bench, &[enabled, url]).with(0);
    run(&bench, &[url]).with(2);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}", silent.local_addr().unwrap());
    drop(silent);
    let gone = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", closed.as_str());
    run(&bench, &[enabled, gone]).with(1).reports("obtaining keys from 127.0.0.1");
}

#[test]
fn keys_that_expire_are_renewed_before_and_good_ones_are_kept_if_that_fails() {
    let bench = Bench::new();
    bench.file("a", 33 << 20);
    // Expires within the time in which it is renewed: each request asks again.
    let soon = service(|_, number| {
        let soon = chrono::Utc::now() + chrono::TimeDelta::seconds(100);
        let text = document(&soon.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        if number == 0 { (200, text) } else { (403, String::new()) }
    });
    run(&bench, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &soon.url)]).with(0);
    assert!(soon.seen.lock().unwrap().len() > 5);
    let expired = service(|_, _| (200, document("2020-01-01T00:00:00Z")));
    run(&bench, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &expired.url)]).with(0);
    assert!(expired.seen.lock().unwrap().len() > 5, "they are asked for again");
}
