//! What limits how much of the input is held at once: memory, and temporary files.

use bytes::Bytes;
use pipe_kit::mutex::lock;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A number of units, some of which are taken.
pub struct Permits {
    free: Mutex<u64>,
    released: Condvar,
}

/// Units that are taken until this is dropped.
pub struct Permit {
    units: u64,
    from: Arc<Permits>,
}

impl Permits {
    pub fn new(units: u64) -> Arc<Self> {
        Arc::new(Self { free: Mutex::new(units), released: Condvar::new() })
    }

    /// Waits until so many units are free.
    pub fn take(self: &Arc<Self>, units: u64) -> Permit {
        let free = lock(&self.free);
        let free = self.released.wait_while(free, |free| *free < units);
        *free.unwrap_or_else(PoisonError::into_inner) -= units;
        Permit { units, from: Arc::clone(self) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *lock(&self.from.free) += self.units;
        self.from.released.notify_all();
    }
}

/// Memory for parts. Buffers are used again: returned to the allocator in between, their memory would be spread over the
/// arenas of all threads.
pub struct Room {
    permits: Arc<Permits>,
    unused: Mutex<Vec<Vec<u8>>>,
}

/// A buffer of the room. Its memory returns there when it is dropped.
pub struct Lent {
    buffer: Vec<u8>,
    length: usize,
    home: Arc<Room>,
    _permit: Permit,
}

impl Room {
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { permits: Permits::new(bytes), unused: Mutex::default() })
    }

    /// Waits for a buffer of so many bytes.
    pub fn lend(self: &Arc<Self>, bytes: usize) -> Lent {
        let permit = self.permits.take(bytes as u64);
        let mut buffer = lock(&self.unused).pop().unwrap_or_default();
        buffer.resize(bytes, 0);
        Lent { buffer, length: 0, home: Arc::clone(self), _permit: permit }
    }
}

impl Lent {
    pub fn length(&self) -> usize {
        self.length
    }

    /// Appends what `read` puts into the free space, of which it gets `most` bytes. Returns their number.
    pub fn append<E>(
        &mut self,
        most: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let end = self.buffer.len().min(self.length.saturating_add(most));
        let added = read(&mut self.buffer[self.length..end])?;
        self.length += added;
        Ok(added)
    }

    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        lock(&self.home.unused).push(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_lent_than_there_is_and_memory_comes_back() {
        let room = Room::new(10);
        let mut first = room.lend(6);
        let second = room.lend(4);
        assert_eq!(first.append::<()>(2, |free| Ok(free.len())), Ok(2));
        assert_eq!(first.append::<()>(9, |free| Ok(free.len())), Ok(4));
        assert_eq!(first.append(9, |free| if free.is_empty() { Err(()) } else { Ok(1) }), Err(()));
        let bytes = first.into_bytes();
        assert_eq!(bytes.len(), 6);
        let waiting = std::thread::spawn({
            let room = Arc::clone(&room);
            move || room.lend(10).length()
        });
        drop(second);
        assert!(!waiting.is_finished());
        drop(bytes);
        assert_eq!(waiting.join().unwrap(), 0);
        assert_eq!(lock(&room.unused).len(), 2);
    }
}
