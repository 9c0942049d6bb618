//! `obj-mirror` against a real S3 server: nothing is lost, nothing is changed, nothing is deleted that
//! should not be, and every failure says so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "obj_mirror/addressing.rs"]
mod addressing;
#[path = "obj_mirror/buckets.rs"]
mod buckets;
#[path = "obj_mirror/checksums.rs"]
mod checksums;
#[path = "obj_mirror/damaged.rs"]
mod damaged;
#[path = "obj_mirror/deletes.rs"]
mod deletes;
#[path = "obj_mirror/faults.rs"]
mod faults;
#[path = "obj_mirror/keys.rs"]
mod keys;
#[path = "obj_mirror/kit.rs"]
mod kit;
#[path = "obj_mirror/large_bucket.rs"]
mod large_bucket;
#[path = "obj_mirror/links.rs"]
mod links;
#[path = "obj_mirror/lossless.rs"]
mod lossless;
#[path = "obj_mirror/octets.rs"]
mod octets;
#[path = "obj_mirror/odd_answers.rs"]
mod odd_answers;
#[path = "obj_mirror/proxy.rs"]
mod proxy;
#[path = "obj_mirror/reliability.rs"]
mod reliability;
#[path = "obj_mirror/round_trip.rs"]
mod round_trip;
#[path = "obj_mirror/tls.rs"]
mod tls;
#[path = "obj_mirror/verify.rs"]
mod verify;
