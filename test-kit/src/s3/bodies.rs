//! What becomes of the bytes of a request or an answer.

use super::object::Blob;
use super::stats::Stats;
use bytes::Bytes;
use s3s::dto::StreamingBlob;
use std::sync::Arc;

/// What a fault does to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Whole,
    /// The connection ends after the first half.
    Cut,
    /// Its first byte is another one.
    Garbled,
}

impl Fate {
    /// What arrives of a request's body.
    pub(super) fn received(self, blob: Blob) -> Blob {
        if self != Self::Garbled {
            return blob;
        }
        Blob::of(garbled(blob.slice(0..blob.size)).concat().into())
    }

    /// What goes out of an answer's body.
    pub(super) fn sent(self, mut pieces: Vec<Bytes>, stats: Arc<Stats>) -> StreamingBlob {
        match self {
            Self::Whole => {}
            Self::Garbled => pieces = garbled(pieces),
            Self::Cut => {
                pieces.truncate(pieces.len().div_ceil(2));
                if let Some(last) = pieces.last_mut() {
                    last.truncate(last.len() / 2);
                }
            }
        }
        let broken =
            (self == Self::Cut).then(|| Err(std::io::Error::other("cut, as was asked for")));
        let pieces = pieces.into_iter().map(move |piece| {
            stats.gave(piece.len() as u64);
            Ok(piece)
        });
        StreamingBlob::wrap(futures::stream::iter(pieces.chain(broken)))
    }
}

fn garbled(mut pieces: Vec<Bytes>) -> Vec<Bytes> {
    if let Some(first) = pieces.iter_mut().find(|piece| !piece.is_empty()) {
        let mut bytes = first.to_vec();
        bytes[0] ^= 1;
        *first = bytes.into();
    }
    pieces
}
