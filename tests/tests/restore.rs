//! `restore.sh` on a whole deployment: everything comes back, nothing is touched before the domain
//! is typed, and a failure leaves what the message says.

#[path = "restore/again.rs"]
mod again;
#[path = "restore/credentials.rs"]
mod credentials;
#[path = "restore/earlier.rs"]
mod earlier;
#[path = "restore/failures.rs"]
mod failures;
#[path = "restore/guards.rs"]
mod guards;
#[path = "restore/keep_going.rs"]
mod keep_going;
#[path = "restore/kit.rs"]
mod kit;
#[path = "restore/new_host.rs"]
mod new_host;
#[path = "restore/partial.rs"]
mod partial;
#[path = "restore/unfinished.rs"]
mod unfinished;
#[path = "restore/whole.rs"]
mod whole;
