//! A stream whose end is proven. The end of a pipe looks the same whether its writer is done or was killed. A framed
//! stream is complete only with its last record, which the writer sends once it knows that everything before went
//! well.
//!
//! The stream is [`MAGIC`] and records of a type byte, a length (4 bytes, big-endian) and so many bytes: `D` data, `C`
//! a checkpoint, `E` the end, which holds the number of all data bytes (8 bytes, big-endian).

use std::io::{self, ErrorKind, Read, Write};

/// The first bytes of every framed stream.
pub const MAGIC: &[u8] = b"framed stream 1\n";
/// The most bytes in one record.
const LONGEST: usize = 16 << 20;
/// The most bytes of a checkpoint.
const LONGEST_CHECKPOINT: usize = 4096;

/// Writes a framed stream. Dropped unfinished, it leaves a stream that every reader takes for incomplete.
pub struct Writer<W> {
    to: W,
    written: u64,
}

/// What comes next in a framed stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Record {
    /// So many bytes of data, which [`Reader::data`] reads.
    Data(usize),
    /// What the writer noted about the data since the checkpoint before.
    Checkpoint(Vec<u8>),
    /// The end: everything was read. Holds the number of all data bytes.
    End(u64),
}

/// Reads a framed stream.
pub struct Reader<R> {
    from: R,
    read: u64,
    is_begun: bool,
}

impl<W: Write> Writer<W> {
    /// Begins a stream.
    ///
    /// # Errors
    /// If it cannot be written to.
    pub fn new(mut to: W) -> io::Result<Self> {
        to.write_all(MAGIC)?;
        Ok(Self { to, written: 0 })
    }

    /// Writes data.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(LONGEST) {
            self.record(b'D', piece)?;
            self.written += piece.len() as u64;
        }
        Ok(())
    }

    /// Writes a note about the data since the checkpoint before.
    ///
    /// # Errors
    /// If it cannot be written, or is longer than 4096 bytes.
    pub fn checkpoint(&mut self, note: &[u8]) -> io::Result<()> {
        if note.len() > LONGEST_CHECKPOINT {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a checkpoint is too long"));
        }
        self.record(b'C', note)
    }

    /// Writes the record that makes the stream complete.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        let total = self.written.to_be_bytes();
        self.record(b'E', &total)?;
        self.to.flush()
    }

    fn record(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?.to_be_bytes();
        self.to.write_all(&[kind, length[0], length[1], length[2], length[3]])?;
        self.to.write_all(bytes)
    }
}

impl<R: Read> Reader<R> {
    /// Nothing is read yet.
    pub fn new(from: R) -> Self {
        Self { from, read: 0, is_begun: false }
    }

    /// The next record. The bytes of a [`Record::Data`] must be read before the record after it.
    ///
    /// # Errors
    /// If it cannot be read; [`ErrorKind::UnexpectedEof`] if the stream is incomplete, [`ErrorKind::InvalidData`] if it
    /// is not a framed stream.
    pub fn next_record(&mut self) -> io::Result<Record> {
        if !self.is_begun {
            let mut magic = [0; MAGIC.len()];
            self.exactly(&mut magic)?;
            if magic != MAGIC {
                return Err(invalid("it is not a framed stream"));
            }
            self.is_begun = true;
        }
        let mut head = [0; 5];
        self.exactly(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        match kind {
            b'D' if length <= LONGEST => Ok(Record::Data(length)),
            b'C' if length <= LONGEST_CHECKPOINT => {
                let mut note = vec![0; length];
                self.exactly(&mut note)?;
                Ok(Record::Checkpoint(note))
            }
            b'E' if length == 8 => self.end(),
            _ => Err(invalid("it has a record that cannot be read")),
        }
    }

    /// Reads bytes of a [`Record::Data`]: all of `into`.
    ///
    /// # Errors
    /// As [`Reader::next_record`].
    pub fn data(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.exactly(into)?;
        self.read += into.len() as u64;
        Ok(())
    }

    fn end(&mut self) -> io::Result<Record> {
        let mut total = [0; 8];
        self.exactly(&mut total)?;
        let total = u64::from_be_bytes(total);
        if total != self.read {
            return Err(invalid("its last record counts other bytes"));
        }
        loop {
            return match self.from.read(&mut [0]) {
                Ok(0) => Ok(Record::End(total)),
                Ok(_) => Err(invalid("more follows its last record")),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    fn exactly(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.from.read_exact(into).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                io::Error::new(error.kind(), "it ended before its last record: its writer failed")
            }
            _ => error,
        })
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut stream = Vec::new();
        let mut writer = Writer::new(&mut stream).unwrap();
        writer.data(b"abc").unwrap();
        writer.checkpoint(b"note").unwrap();
        writer.data(b"").unwrap();
        writer.data(b"de").unwrap();
        writer.finish().unwrap();
        stream
    }

    fn read(stream: &[u8]) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let (mut reader, mut data, mut notes) = (Reader::new(stream), Vec::new(), Vec::new());
        loop {
            match reader.next_record()? {
                Record::Data(length) => {
                    let mut bytes = vec![0; length];
                    reader.data(&mut bytes)?;
                    data.extend(bytes);
                }
                Record::Checkpoint(note) => notes.extend(note),
                Record::End(total) => {
                    assert_eq!(total, data.len() as u64);
                    return Ok((data, notes));
                }
            }
        }
    }

    #[test]
    fn a_whole_stream_is_read_as_it_was_written() {
        assert_eq!(read(&sample()).unwrap(), (b"abcde".to_vec(), b"note".to_vec()));
    }

    #[test]
    fn no_beginning_of_a_stream_reads_as_a_whole_one() {
        let stream = sample();
        for end in 0..stream.len() {
            let error = read(&stream[..end]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{end}: {error}");
        }
    }

    #[test]
    fn a_stream_that_counts_other_bytes_or_does_not_end_is_refused() {
        let (mut other, mut more) = (sample(), sample());
        *other.last_mut().unwrap() += 1;
        more.push(0);
        for stream in [other, more, b"plain bytes, which are none".to_vec()] {
            assert_eq!(read(&stream).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }
}
