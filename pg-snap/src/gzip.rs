//! Gzip in both directions: written as a sequence of members of bounded size, which every gunzip
//! reads as one stream, and read as one stream from any writer.

mod fast;
mod header;
mod member;
mod stream;

pub use member::{Deflater, Inflater, Level, MEMBER, stored};
pub use stream::{ReadAhead, members_in, text_of};
