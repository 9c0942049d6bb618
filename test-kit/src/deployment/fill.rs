//! What is in a deployment's database and bucket at the start.

use super::Deployment;
use super::settings::{BUCKET, DATABASE, Options};
use crate::postgres;
use anyhow::Result;

/// Kinds of objects: an ending, a content type, and how many bytes a piece of it has.
const KINDS: [(&str, &str, usize); 6] = [
    ("pdf", "application/pdf", 2048),
    ("txt", "text/plain; charset=utf-8", 300),
    ("json", "application/json", 700),
    ("png", "image/png", 5000),
    ("csv", "text/csv", 900),
    ("bin", "application/octet-stream", 70_000),
];

impl Deployment {
    /// Fills both.
    ///
    /// # Errors
    /// If either refuses.
    pub(super) fn fill(&self, options: &Options) -> Result<()> {
        let variables = [format!("tenants={}", options.tenants), format!("docs={}", options.docs)];
        postgres::psql(self.postgres_client("psql"), DATABASE, &variables, postgres::TENANTS)?;
        self.redis(&["SET", "session:1", "stale"])?;
        let client = self.s3();
        client.put((BUCKET, "empty"), &[("content-type", "text/plain")], b"")?;
        client.put(
            (BUCKET, "tenant_0001/a name with spaces/Übersicht 漢字 (1).pdf"),
            &[],
            b"%PDF-",
        )?;
        for n in 2..options.objects {
            put(self, n)?;
        }
        Ok(())
    }
}

fn put(deployment: &Deployment, n: usize) -> Result<()> {
    let (ending, content_type, size) = KINDS[n % KINDS.len()];
    let tenant = 1 + n % 3;
    let key = format!("tenant_{tenant:04}/documents/{:02x}/{n:04}.{ending}", n * 37 % 256);
    let mut headers = vec![("content-type", content_type)];
    let number = n.to_string();
    if n.is_multiple_of(3) {
        headers.push(("x-amz-meta-document", &number));
        headers.push(("x-amz-meta-uploaded-by", "person1@example"));
    }
    let body: Vec<u8> = (0..size + n).map(|i| ((i * i + n * 7) % 251) as u8).collect();
    deployment.s3().put((BUCKET, &key), &headers, &body)
}
