//! A bundle's directory as it lies on disk.

pub mod config;
pub mod contents;
pub mod domain;
pub mod hash;
pub mod mirror;
pub mod objects;
pub mod path_map;
pub mod problems;
pub mod root;
pub mod structure;
pub mod tree;
