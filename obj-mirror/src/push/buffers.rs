//! Reusable buffers for uploads. Returned to the allocator in between, their memory would be spread
//! over the arenas of all threads and never come back.

use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

/// Smaller contents use the allocator, bytes.
const SMALL: usize = 64 * 1024;
/// The most unused memory that is kept, bytes.
const KEPT: usize = 32 * 1024 * 1024;

/// Unused buffers, sorted by capacity.
#[derive(Debug, Default)]
pub struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// Reads a range of a file. Its memory returns here when the bytes are dropped.
    pub fn read(self: &Arc<Self>, file: &File, at: u64, length: usize) -> io::Result<Bytes> {
        if length <= SMALL {
            let mut content = vec![0; length];
            file.read_exact_at(&mut content, at)?;
            return Ok(content.into());
        }
        let buffer = {
            // The smallest buffer that is large enough; else the largest, which grows.
            let mut free = self.free();
            let at = free.partition_point(|buffer| buffer.capacity() < length);
            if at < free.len() { free.remove(at) } else { free.pop().unwrap_or_default() }
        };
        let mut lent = Lent { buffer, home: Arc::clone(self) };
        lent.buffer.resize(length, 0);
        file.read_exact_at(&mut lent.buffer, at)?;
        Ok(Bytes::from_owner(lent))
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lent {
    buffer: Vec<u8>,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut free = self.home.free();
        let kept: usize = free.iter().map(Vec::capacity).sum();
        if kept + buffer.capacity() > KEPT {
            return;
        }
        let at = free.partition_point(|other| other.capacity() < buffer.capacity());
        free.insert(at, buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn memory_comes_back_and_contents_do_not_mix() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[[1; SMALL * 2], [2; SMALL * 2]].concat()).unwrap();
        let buffers = Arc::new(Buffers::default());
        let one = buffers.read(&file, 0, SMALL * 2).unwrap();
        let two = buffers.read(&file, SMALL as u64 * 2, SMALL * 2).unwrap();
        let kept = two.slice(5..6);
        assert!(one.iter().all(|b| *b == 1) && two.iter().all(|b| *b == 2));
        drop((one, two));
        assert_eq!(buffers.free().len(), 1);
        assert_eq!(kept[..], [2]);
        let again = buffers.read(&file, 1, SMALL + 1).unwrap();
        assert!(again.len() == SMALL + 1 && again.iter().all(|b| *b == 1));
        assert_eq!(buffers.free().len(), 0);
        assert!(buffers.read(&file, SMALL as u64 * 3, SMALL * 2).is_err());
        assert_eq!(buffers.free().len(), 1);
    }
}
