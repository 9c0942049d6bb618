//! The directory of a mirror: where objects are stored, its index, its journal, and its verification.

pub mod checked_index;
pub mod contents;
mod directories;
pub mod files;
pub mod index;
pub mod journal;
pub mod leftovers;
pub mod links;
pub mod lookup;
pub mod paths;
pub mod placement;
pub mod sums;
pub mod tree;
pub mod verify;
