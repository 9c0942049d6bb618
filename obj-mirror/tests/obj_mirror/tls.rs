//! Storage over TLS: trusted where it should be, and where it is not, with the reason.

use crate::kit::{BUCKET, Ended, end};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use test_kit::{S3, tool};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

struct Stand {
    dir: TempDir,
    s3: S3,
}

impl Stand {
    /// A server with a certificate for `name` by `authority`, valid to the end of `year`.
    fn new(authority: &Authority, name: &str, year: i32) -> Self {
        let dir = tempfile::Builder::new().prefix("tls-").tempdir().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        let file = |name: &str, text: String| -> PathBuf {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (certificate, key) =
            (file("cert.pem", certificate.pem()), file("key.pem", key.serialize_pem()));
        file("ca.pem", authority.pem());
        let s3 = S3::start_over_tls(BUCKET, &certificate, &key).unwrap();
        Self { dir, s3 }
    }

    /// Runs `obj-mirror` against `https://storage.test`, which is dialled where the server is.
    fn run(&self, args: &[&str], bundle: &Path) -> Ended {
        let mut command = Command::new(tool("obj-mirror"));
        command.args(args).current_dir(self.dir.path()).envs(self.s3.env());
        command.env("AWS_ENDPOINT_URL", "https://storage.test").env("AWS_CA_BUNDLE", bundle);
        command.args(["--resolve", &format!("storage.test:443:{}", self.s3.address())]);
        end(&mut command)
    }
}

#[test]
fn a_private_authority_is_trusted_where_it_is_named() {
    let stand = Stand::new(&authority("ours"), "storage.test", 2099);
    let ca = stand.dir.path().join("ca.pem");
    std::fs::create_dir(stand.dir.path().join("d")).unwrap();
    std::fs::write(stand.dir.path().join("d/a"), vec![7; 20 << 20]).unwrap();
    stand.run(&["d", "s3://documents"], &ca).with(0);
    stand.run(&["s3://documents", "minio"], &ca).with(0);
    let read = |name: &str| std::fs::read(stand.dir.path().join(name)).unwrap();
    assert!(read("minio/a") == read("d/a"));
    stand.run(&["status", "s3://documents"], &ca).with(0);
    let none = stand.dir.path().join("none.pem");
    stand.run(&["status", "s3://documents"], &none).with(1).reports("AWS_CA_BUNDLE: reading");
    std::fs::write(&none, "").unwrap();
    stand.run(&["status", "s3://documents"], &none).with(1).reports("contains no certificate");
}

#[test]
fn a_server_that_is_not_trusted_is_refused_with_the_reason_in_one_line() {
    let ours = authority("ours");
    let cases = [
        (Stand::new(&authority("theirs"), "storage.test", 2099), "trusted.pem (AWS_CA_BUNDLE)"),
        (Stand::new(&ours, "storage.test", 2021), "the certificate of storage.test has expired"),
        (Stand::new(&ours, "other.test", 2099), "is for another name"),
    ];
    for (stand, reason) in cases {
        let ca = stand.dir.path().join("trusted.pem");
        std::fs::write(&ca, ours.pem()).unwrap();
        for args in [&["s3://documents", "minio"][..], &["status", "s3://documents"]] {
            let ended = stand.run(args, &ca).with(1).reports("is not trusted").reports(reason);
            assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        }
        assert!(!stand.dir.path().join("minio").exists());
    }
}

#[test]
fn a_server_that_does_not_speak_tls_is_distinguished_from_one_that_is_not_trusted() {
    let stand = Stand::new(&authority("ours"), "storage.test", 2099);
    let plain = S3::start(BUCKET).unwrap();
    let mut command = Command::new(tool("obj-mirror"));
    command.args(["status", "s3://documents"]).envs(plain.env());
    command.env("AWS_ENDPOINT_URL", format!("https://{}", plain.address()));
    command.env("AWS_CA_BUNDLE", stand.dir.path().join("ca.pem"));
    end(&mut command).with(1).reports("does not speak TLS");
}
