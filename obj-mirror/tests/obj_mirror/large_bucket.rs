//! A bucket of very many keys: what it takes to list and plan it is bounded.

use crate::kit::{Bench, end, peak, tries};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Answers every request with the page of a listing that its token names.
struct Lister {
    address: String,
    stop: Arc<AtomicBool>,
}

impl Lister {
    /// Lists so many keys, or those of each page from the last to the first.
    fn start(keys: usize, reversed: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away is its own affair.
                std::thread::spawn(move || drop(serve(&stream, keys, reversed)));
            }
        });
        Self { address, stop }
    }
}

impl Drop for Lister {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
    }
}

fn serve(stream: &TcpStream, keys: usize, reversed: bool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line)?;
        }
        let token = first.split_once("continuation-token=").map_or("0", |(_, rest)| rest);
        let digits: String = token.chars().take_while(char::is_ascii_digit).collect();
        let page = page(digits.parse().unwrap(), keys, reversed);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", page.len());
        let mut stream = stream;
        stream.write_all((head + &page).as_bytes())?;
    }
}

fn page(from: usize, keys: usize, reversed: bool) -> String {
    let mut xml = "<ListBucketResult><EncodingType>url</EncodingType>".to_owned();
    let to = (from + 1000).min(keys);
    for n in from..to {
        let n = if reversed { from + to - 1 - n } else { n };
        xml += &format!(
            "<Contents><Key>tenant_{:04}/documents/2026/{n:08}-quarterly-report.pdf</Key>\
             <LastModified>2026-04-21T02:00:00.000Z</LastModified>\
             <ETag>&quot;{n:032x}&quot;</ETag><Size>{n}</Size></Contents>",
            n / 1000
        );
    }
    let more = to < keys;
    xml += &format!("<IsTruncated>{more}</IsTruncated>");
    if more {
        xml += &format!("<NextContinuationToken>{to}</NextContinuationToken>");
    }
    xml + "</ListBucketResult>"
}

#[test]
fn listing_and_planning_take_little_memory_however_many_keys_there_are() {
    let bench = Bench::new();
    let lister = Lister::start(tries(20_000, 200_000), false);
    let mut command = bench.command(&["--dry-run", "s3://documents", "minio"]);
    command.env("AWS_ENDPOINT_URL", format!("http://{}", lister.address));
    command.stdout(Stdio::null());
    let (peak, ok) = peak(command);
    assert!(ok && peak < 60, "{peak} MiB");
}

#[test]
fn a_server_that_does_not_list_its_keys_in_order_is_mirrored_all_the_same() {
    let bench = Bench::new();
    let lister = Lister::start(2500, true);
    let mut command = bench.command(&["--dry-run", "s3://documents", "minio"]);
    command.env("AWS_ENDPOINT_URL", format!("http://{}", lister.address));
    let printed =
        end(&mut command).with(0).reports("reading and sorting the whole listing first").out;
    let keys: Vec<&str> = printed.lines().collect();
    assert_eq!(keys.len(), 2500);
    assert!(keys.is_sorted(), "{:?}", keys.first());
}
