//! The text of a dump as a stream, from any writer.

use super::header;
use super::member::{AT_ONCE, Inflater, text_length};
use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, sync_channel};

const BUFFER: usize = 256 * 1024;

/// The text of a dump, gzipped or plain. A gzip stream that is cut or damaged gives
/// `UnexpectedEof` or `InvalidData`/`InvalidInput` at that point.
pub fn text_of(input: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let zipped = input.fill_buf().context("reading the dump")?.starts_with(&[0x1f, 0x8b]);
    Ok(if zipped { Box::new(MemberReader::new(input)) } else { Box::new(input) })
}

/// The text of gzip members that follow each other, such as a section of a dump.
pub fn members_in(input: impl Read + Send) -> impl Read + Send {
    MemberReader::new(BufReader::with_capacity(BUFFER, input))
}

/// The part of a member that was already read, and what follows.
type Remainder<R> = io::Chain<io::Cursor<Vec<u8>>, BufReader<R>>;

/// Members of ours are inflated one by one, which is fastest; from the first other member on, or the first
/// that is too large for the memory, a general decoder reads the rest.
struct MemberReader<R: Read> {
    input: Option<BufReader<R>>,
    others: Option<MultiGzDecoder<Remainder<R>>>,
    inflater: Inflater,
    member: Vec<u8>,
    text: io::Cursor<Vec<u8>>,
}

impl<R: Read> MemberReader<R> {
    fn new(input: BufReader<R>) -> Self {
        let (input, inflater) = (Some(input), Inflater::new());
        Self { input, others: None, inflater, member: Vec::new(), text: io::Cursor::default() }
    }

    /// The next member's text; false at the end of the input, or if the rest is for the general decoder.
    fn advance(&mut self) -> io::Result<bool> {
        self.member.clear();
        self.read_to(header::FIXED)?;
        if self.member.is_empty() {
            return Ok(false);
        }
        if let Some(extra) = header::extra_length(&self.member) {
            self.read_to(header::FIXED + extra)?;
        }
        let length = header::lengths(&self.member).map(|lengths| lengths.member);
        let Some(length) = length.filter(|length| *length <= AT_ONCE) else {
            self.leave_the_rest();
            return Ok(false);
        };
        self.read_to(length)?;
        if self.member.len() < length {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a gzip member is truncated"));
        }
        if text_length(&self.member) > AT_ONCE {
            self.leave_the_rest();
            return Ok(false);
        }
        self.text = io::Cursor::new(self.inflater.text(&self.member)?);
        Ok(true)
    }

    /// Reads until so many bytes of the member are there, or the input ends.
    fn read_to(&mut self, length: usize) -> io::Result<()> {
        let Some(input) = &mut self.input else { return Ok(()) };
        let rest = length.saturating_sub(self.member.len());
        input.take(rest as u64).read_to_end(&mut self.member)?;
        Ok(())
    }

    /// Leaves this member and what follows it to the general decoder.
    fn leave_the_rest(&mut self) {
        let begun = io::Cursor::new(std::mem::take(&mut self.member));
        self.others = self.input.take().map(|rest| MultiGzDecoder::new(begun.chain(rest)));
    }
}

impl<R: Read> Read for MemberReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.text.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            if let Some(others) = &mut self.others {
                return others.read(buffer);
            }
            if !self.advance()? && self.others.is_none() {
                return Ok(0);
            }
        }
    }
}

/// Reads ahead in a thread, so that inflating and using the text overlap.
pub struct ReadAhead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: io::Cursor<Vec<u8>>,
}

impl ReadAhead {
    pub fn new(mut input: Box<dyn Read + Send>) -> Self {
        let (send, blocks) = sync_channel(8);
        std::thread::spawn(move || {
            loop {
                let mut block = vec![0; 128 * 1024];
                let read = match input.read(&mut block) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Ok(n) => {
                        block.truncate(n);
                        Ok(block)
                    }
                    Err(e) => Err(e),
                };
                let last = read.as_ref().map_or(true, Vec::is_empty);
                if send.send(read).is_err() || last {
                    return;
                }
            }
        });
        Self { blocks, block: io::Cursor::default() }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.block.position() == self.block.get_ref().len() as u64 {
            match self.blocks.recv() {
                Ok(block) => self.block = io::Cursor::new(block?),
                Err(_) => return Ok(0),
            }
        }
        self.block.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::Header;
    use super::super::{Deflater, Level, MEMBER};
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn ours(text: &[u8]) -> Vec<u8> {
        let mut deflater = Deflater::new(Level::Default);
        text.chunks(MEMBER).flat_map(|block| deflater.member(block).unwrap()).collect()
    }

    fn others(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// One member with its length in its header, of any size.
    fn with_length(text: &[u8]) -> Vec<u8> {
        let plain = others(text);
        let mut member = Vec::new();
        Header::Plain.write((plain.len() + 10).try_into().unwrap(), &mut member);
        member.extend_from_slice(&plain[10..]);
        member
    }

    #[test]
    fn members_that_are_too_large_to_be_read_at_once_are_read_all_the_same() {
        let compressible = b"1\ta row like others\n".repeat(AT_ONCE / 16);
        let incompressible: Vec<u8> = sample().into_iter().cycle().take(AT_ONCE + 9).collect();
        for text in [compressible, incompressible] {
            let large = with_length(&text);
            assert!(text_length(&large) > AT_ONCE);
            let dump = [with_length(b"a\n"), ours(b"b\n"), large, ours(b"c\n")].concat();
            assert!(unzip(dump.clone()).unwrap() == [b"a\nb\n", &text[..], b"c\n"].concat());
            assert!(unzip(dump[..dump.len() - 200].to_vec()).is_err());
        }
    }

    fn unzip(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        ReadAhead::new(text_of(Box::new(io::Cursor::new(bytes))).unwrap())
            .read_to_end(&mut text)?;
        Ok(text)
    }

    fn sample() -> Vec<u8> {
        (0..3_000_000u32)
            .flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 20).to_le_bytes())
            .take(3 << 20)
            .collect()
    }

    #[test]
    fn members_read_as_one_stream_whoever_wrote_them() {
        let text = sample();
        assert!(unzip(ours(&text)).unwrap() == text);
        assert!(unzip(others(&text)).unwrap() == text);
        let (a, b) = text.split_at(1_500_000);
        for (first, second) in [(ours(a), others(b)), (others(a), ours(b)), (others(a), others(b))]
        {
            assert!(unzip([first, second].concat()).unwrap() == text);
        }
        assert!(unzip(others(b"")).unwrap().is_empty());
        assert_eq!(unzip(b"plain".to_vec()).unwrap(), b"plain");
    }

    #[test]
    fn a_cut_stream_is_an_error_where_it_was_cut() {
        for zipped in [ours(&sample()), others(&sample())] {
            for cut in [3, 17, zipped.len() / 2, zipped.len() - 1] {
                assert!(unzip(zipped[..cut].to_vec()).is_err(), "cut at {cut}");
            }
            let mut flipped = zipped.clone();
            flipped[zipped.len() / 2] ^= 1;
            assert!(unzip(flipped).is_err());
            assert!(unzip([zipped, b"x".to_vec()].concat()).is_err());
        }
    }
}
