//! What more than one tool must know alike, defined once. It reads the records of copies and of drills
//! from the disk, and nothing else; it starts no program.
//!
//! - [`name`], [`layout`], [`manifest`], [`sums`], [`domain`]: what a bundle is called and made of;
//! - [`known`]: checksums that are known before a bundle is sealed;
//! - [`parts`]: how a large object is divided;
//! - [`retention`]: which bundles are kept;
//! - [`shipped`]: what lies beside a sealed bundle that was copied elsewhere;
//! - [`shipments`]: what was copied where;
//! - [`drills`]: the drills that are kept;
//! - [`report`]: what a tool prints as JSON for the tools that read it.

pub mod domain;
pub mod drills;
pub mod known;
pub mod layout;
pub mod manifest;
pub mod name;
pub mod parts;
pub mod report;
pub mod retention;
pub mod shipments;
pub mod shipped;
pub mod sums;

#[doc(hidden)]
pub mod fuzzing;

pub use name::BundleName;
