//! A bundle as one archive: `pack` and `unpack`.

mod cipher;
pub mod pack;
pub mod staging;
mod tar_reader;
mod tar_writer;
pub mod unpack;

pub use cipher::Keys;
