//! A server that lists what a test describes, and takes and notes whatever it is sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The status and the body of the page that a token names; the first page has the token 0.
type Pages = dyn Fn(usize) -> (u16, String) + Send + Sync;

pub struct Lister {
    address: String,
    stop: Arc<AtomicBool>,
    changes: Arc<Mutex<Vec<String>>>,
}

impl Lister {
    pub fn start(pages: impl Fn(usize) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, changes) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (stopped, noted, pages) = (Arc::clone(&stop), Arc::clone(&changes), Arc::new(pages));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (pages, noted) = (Arc::clone(&pages), Arc::clone(&noted));
                // A client that goes away is its own affair.
                std::thread::spawn(move || drop(serve(&stream, &*pages, &noted)));
            }
        });
        Self { address, stop, changes }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that change the bucket, sorted: `PUT /bucket/key`, and `DELETE key` for each key.
    pub fn changes(&self) -> Vec<String> {
        let mut changes = self.changes.lock().unwrap().clone();
        changes.sort();
        changes
    }
}

impl Drop for Lister {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
    }
}

fn serve(stream: &TcpStream, pages: &Pages, noted: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line)?;
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (status, answer) = answer(&first, &String::from_utf8_lossy(&body), pages, noted);
        let head = format!(
            "HTTP/1.1 {status} status\r\netag: \"{:032x}\"\r\ncontent-length: {}\r\n\r\n",
            0,
            answer.len()
        );
        let mut stream = stream;
        stream.write_all((head + &answer).as_bytes())?;
    }
}

fn answer(first: &str, body: &str, pages: &Pages, noted: &Mutex<Vec<String>>) -> (u16, String) {
    let (method, rest) = first.split_once(' ').unwrap();
    let (target, _) = rest.split_once(' ').unwrap();
    match method {
        "GET" if target.contains("list-type=2") => {
            let token = target.split_once("continuation-token=").map_or("0", |(_, rest)| rest);
            let digits: String = token.chars().take_while(char::is_ascii_digit).collect();
            pages(digits.parse().unwrap())
        }
        "POST" => {
            let keys = body.split("<Key>").skip(1).map(|rest| rest.split_once('<').unwrap().0);
            noted.lock().unwrap().extend(keys.map(|key| format!("DELETE {key}")));
            (200, "<DeleteResult/>".to_owned())
        }
        "PUT" => {
            noted.lock().unwrap().push(format!("PUT {target}"));
            (200, String::new())
        }
        "DELETE" => {
            let (_, key) = target[1..].split_once('/').unwrap();
            noted.lock().unwrap().push(format!("DELETE {key}"));
            (204, String::new())
        }
        _ => (404, String::new()),
    }
}

/// One object of a page. The key is written as it is, so it must be valid in XML.
pub fn object(key: &str, size: usize, etag: &str) -> String {
    format!(
        "<Contents><Key>{key}</Key><LastModified>2026-04-21T02:00:00.000Z</LastModified>\
         <ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents>"
    )
}

/// A page of these objects, and the token of the next page.
pub fn page(objects: &str, next: Option<usize>) -> (u16, String) {
    let next = match next {
        Some(token) => format!("<NextContinuationToken>{token}</NextContinuationToken>"),
        None => String::new(),
    };
    let more = !next.is_empty();
    let page = format!(
        "<ListBucketResult><IsTruncated>{more}</IsTruncated>{next}{objects}</ListBucketResult>"
    );
    (200, page)
}
