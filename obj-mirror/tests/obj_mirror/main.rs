//! `obj-mirror` against a real S3 server: nothing is lost, nothing is changed, nothing is deleted that
//! should not be, and every failure is reported.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod addressing;
mod buckets;
mod checksums;
mod damaged;
mod deletes;
mod faults;
mod keys;
mod kit;
mod large_bucket;
mod links;
mod lister;
mod listings;
mod lossless;
mod octets;
mod odd_answers;
mod proxy;
mod reliability;
mod round_trip;
mod second_client;
mod tls;
mod untrue_answers;
mod verify;
