//! `restore.sh` on a whole deployment: everything comes back, nothing is touched before the domain
//! is typed, and a failure leaves what the message states.

mod addresses;
mod again;
mod beside;

mod credentials;
mod earlier;
mod failures;
mod guards;
mod keep_going;
mod kit;
mod new_host;
mod partial;
mod safety;
mod servers;
mod services;
mod unfinished;
mod whole;
