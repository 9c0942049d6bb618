//! Pings and webhooks. What cannot be delivered is a warning, and all deliveries of a run together take less than
//! [`MOST`].

use crate::mask::Secrets;
use crate::tail::end_of;
use pipe_kit::mutex::lock;
use pipe_kit::{cleanup, warning};
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error};
use url::Url;

/// How long all deliveries of a run may take together.
const MOST: Duration = Duration::from_secs(9);
/// How long the beginning may take, and the reports of killed runs, so that some time is left for the end.
pub const EARLY: Duration = Duration::from_millis(2500);
/// How long those reports may take that are tried again at the end.
pub const AGAIN: Duration = Duration::from_millis(1500);
/// How much of the log is sent, in bytes.
const LOG: usize = 100_000;

/// Where to.
pub struct Notifier {
    /// `NOTIFY_PING`, for this kind of run.
    pub ping: Option<Url>,
    /// `NOTIFY_URL`.
    pub hook: Option<Url>,
    left: Mutex<Duration>,
}

/// One delivery. It names its target as the operator knows it: the URL is a secret.
struct Delivery {
    setting: &'static str,
    url: Url,
    content_type: &'static str,
    body: String,
}

impl Notifier {
    /// With all the time that there is.
    pub fn new(ping: Option<Url>, hook: Option<Url>) -> Self {
        Self { ping, hook, left: Mutex::new(MOST) }
    }

    /// Whether anybody wants to know.
    pub fn is_needed(&self) -> bool {
        self.ping.is_some() || self.hook.is_some()
    }

    /// The run begins.
    pub fn start(&self) {
        self.deliver(self.pinged("start", String::new()).into_iter().collect(), EARLY);
    }

    /// Another run has failed without reporting it. Returns whether the message was delivered.
    pub fn report(&self, message: &serde_json::Value, limit: Duration) -> bool {
        self.deliver(self.message(message).into_iter().collect(), limit) == [true]
    }

    /// The run has ended. Returns whether the message was delivered, where there is one.
    pub fn end(
        &self,
        status: u8,
        log: &str,
        secrets: &Secrets,
        message: Option<&serde_json::Value>,
    ) -> bool {
        let log = secrets.mask(log);
        let ping = self.pinged(&status.to_string(), end_of(&log, LOG).to_owned());
        let message = message.and_then(|message| self.message(message));
        let has_message = message.is_some();
        let delivered = self.deliver(message.into_iter().chain(ping).collect(), MOST);
        has_message && delivered.first() == Some(&true)
    }

    fn pinged(&self, what: &str, body: String) -> Option<Delivery> {
        let mut url = self.ping.clone()?;
        url.path_segments_mut().ok()?.pop_if_empty().push(what);
        let content_type = "text/plain; charset=utf-8";
        Some(Delivery { setting: "NOTIFY_PING", url, content_type, body })
    }

    fn message(&self, message: &serde_json::Value) -> Option<Delivery> {
        let (url, body) = (self.hook.clone()?, message.to_string());
        Some(Delivery { setting: "NOTIFY_URL", url, content_type: "application/json", body })
    }

    /// Delivers all at the same time; returns for each whether it was accepted. Once a signal ends the run, only the end
    /// of the run is delivered.
    fn deliver(&self, deliveries: Vec<Delivery>, most: Duration) -> Vec<bool> {
        let mut left = lock(&self.left);
        let limit = most.min(*left);
        // Looked up under the lock: once the end of the run is being delivered, its beginning no longer is.
        if deliveries.is_empty() || limit.is_zero() || cleanup::is_ending() {
            return vec![false; deliveries.len()];
        }
        let begun = Instant::now();
        let waiting: Vec<_> = deliveries.into_iter().map(|d| (d.setting, d.start(limit))).collect();
        let accepted = waiting.into_iter().map(|(setting, answer)| {
            let why = match answer.recv_timeout(limit.saturating_sub(begun.elapsed())) {
                Ok(Ok(())) => return true,
                Ok(Err(why)) => why,
                Err(RecvTimeoutError::Timeout) => no_answer(limit),
                Err(RecvTimeoutError::Disconnected) => "it could not be sent".to_owned(),
            };
            warning!("{setting} was not notified: {why}");
            false
        });
        let accepted = accepted.collect();
        *left = left.saturating_sub(begun.elapsed());
        accepted
    }
}

impl Delivery {
    /// Sends it in a thread of its own: a resolver can take longer than any limit.
    fn start(self, limit: Duration) -> mpsc::Receiver<Result<(), String>> {
        let (sender, receiver) = mpsc::channel();
        let send = move || {
            let _ = sender.send(self.send(limit));
        };
        // Without a thread, the receiver finds the sender gone.
        let _ = std::thread::Builder::new().name("notify".into()).spawn(send);
        receiver
    }

    fn send(self, limit: Duration) -> Result<(), String> {
        let config = Agent::config_builder()
            .timeout_global(Some(limit))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("piprio/", env!("CARGO_PKG_VERSION")));
        let config = match self.url.scheme() {
            "https" => config.tls_config(trusted()),
            _ => config,
        };
        let agent: Agent = config.build().into();
        let request = agent.post(self.url.as_str()).content_type(self.content_type);
        match request.send(&self.body) {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("the answer is {}", answer.status().as_u16())),
            Err(error) => Err(reason(&error, limit)),
        }
    }
}

/// The authorities that this system trusts; those of the web where it has none.
fn trusted() -> TlsConfig {
    let found = rustls_native_certs::load_native_certs().certs;
    let own = found.iter().map(|der| Certificate::from_der(der).to_owned());
    let roots = if found.is_empty() { RootCerts::WebPki } else { RootCerts::from(own) };
    TlsConfig::builder().root_certs(roots).build()
}

fn no_answer(limit: Duration) -> String {
    format!("no answer within {:.1} s", limit.as_secs_f64())
}

/// By the kind of the error: its text can contain the URL.
fn reason(error: &Error, limit: Duration) -> String {
    match error {
        Error::Timeout(_) => no_answer(limit),
        Error::HostNotFound => "its host has no address".to_owned(),
        Error::ConnectionFailed => "no connection".to_owned(),
        Error::Tls(_) | Error::Rustls(_) => "its certificate is not trusted".to_owned(),
        Error::Io(error) => match error.get_ref().is_some_and(|e| e.is::<rustls::Error>()) {
            true => "its certificate is not trusted".to_owned(),
            // A resolver's error has no number, and a kind without a meaning.
            false if error.raw_os_error().is_none() => "its host cannot be reached".to_owned(),
            false => format!("no connection ({})", error.kind()),
        },
        _ => "it does not answer as a web server does".to_owned(),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A server that answers requests with these statuses, and passes on what it received.
    pub fn serve(statuses: Vec<u16>) -> (Notifier, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/u", listener.local_addr().unwrap()).parse().unwrap();
        let (received, requests) = mpsc::channel();
        std::thread::spawn(move || {
            for status in statuses {
                let mut stream = listener.accept().unwrap().0;
                let mut text = String::new();
                while !text.ends_with('}') {
                    let mut bytes = [0; 4096];
                    let read = stream.read(&mut bytes).unwrap();
                    text += std::str::from_utf8(&bytes[..read]).unwrap();
                }
                received.send(text).unwrap();
                write!(
                    stream,
                    "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                )
                .unwrap();
            }
        });
        (Notifier::new(None, Some(url)), requests)
    }

    #[test]
    fn a_ping_adds_a_segment_to_the_path_and_keeps_the_rest() {
        for (given, start) in [
            ("https://h/uuid", "https://h/uuid/start"),
            ("https://h/uuid/", "https://h/uuid/start"),
            ("https://h/uuid?create=1", "https://h/uuid/start?create=1"),
            ("http://h:81", "http://h:81/start"),
        ] {
            let notifier = Notifier::new(Some(given.parse().unwrap()), None);
            let delivery = notifier.pinged("start", String::new()).unwrap();
            assert_eq!(delivery.url.as_str(), start);
        }
        assert!(Notifier::new(None, None).pinged("0", String::new()).is_none());
    }
}
