//! Puts sections that workers make at the same time into order: the first unfinished one is written while
//! it is made, the others wait in memory. When too much waits there, their workers wait, too.

use crate::index::Kind;
use crate::sql::Name;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A section's entry in the index, but for its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionLabel {
    pub kind: Kind,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub root: Option<Name>,
    pub rows: u64,
    pub bytes: u64,
}

impl SectionLabel {
    /// Of a section that is not a table's.
    pub fn of(kind: Kind, bytes: u64) -> Self {
        Self { kind, schema: None, table: None, root: None, rows: 0, bytes }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum OutputPiece {
    Member(Vec<u8>),
    /// The section of the last members is finished.
    End(SectionLabel),
}

/// Nothing more will come: a worker or the writer has failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Abandoned;

impl std::fmt::Display for Abandoned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another part of the dump has failed")
    }
}

impl std::error::Error for Abandoned {}

#[derive(Default)]
struct PendingSection {
    members: VecDeque<Vec<u8>>,
    label: Option<SectionLabel>,
}

#[derive(Default)]
struct BufferState {
    sections: VecDeque<PendingSection>,
    /// The number of `sections[0]`.
    first: usize,
    /// Bytes of members in memory.
    held: usize,
    abandoned: bool,
}

impl BufferState {
    /// Whether the writer waits for this section. Its worker must never wait, or both would for ever.
    fn is_wanted(&self, number: usize) -> bool {
        number == self.first
            && self.sections.front().is_some_and(|section| section.members.is_empty())
    }
}

pub struct ReorderBuffer {
    state: Mutex<BufferState>,
    changed: Condvar,
    limit: usize,
}

impl ReorderBuffer {
    /// Holds no more than `limit` bytes that are not yet written, and two members more.
    pub fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, BufferState>) -> MutexGuard<'a, BufferState> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the number of sections.
    pub fn expect_sections(&self, sections: usize) {
        self.lock().sections.resize_with(sections, PendingSection::default);
    }

    /// Adds to a section, once there is room.
    ///
    /// # Errors
    /// [`Abandoned`].
    pub fn push(&self, number: usize, member: Vec<u8>) -> Result<(), Abandoned> {
        let mut state = self.lock();
        while !state.abandoned && state.held >= self.limit && !state.is_wanted(number) {
            state = self.wait(state);
        }
        if state.abandoned {
            return Err(Abandoned);
        }
        state.held += member.len();
        let at = number - state.first;
        state.sections[at].members.push_back(member);
        self.changed.notify_all();
        Ok(())
    }

    pub fn end(&self, number: usize, label: SectionLabel) {
        let mut state = self.lock();
        let at = number - state.first;
        state.sections[at].label = Some(label);
        self.changed.notify_all();
    }

    /// Wakes everyone who waits.
    pub fn abandon(&self) {
        self.lock().abandoned = true;
        self.changed.notify_all();
    }

    pub fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    /// The next piece to write; none when everything is written.
    ///
    /// # Errors
    /// [`Abandoned`].
    pub fn next(&self) -> Result<Option<OutputPiece>, Abandoned> {
        let mut state = self.lock();
        loop {
            if state.abandoned {
                return Err(Abandoned);
            }
            match state.sections.front_mut() {
                Some(section) => {
                    if let Some(member) = section.members.pop_front() {
                        state.held -= member.len();
                        self.changed.notify_all();
                        return Ok(Some(OutputPiece::Member(member)));
                    }
                    if let Some(label) = section.label.take() {
                        state.sections.pop_front();
                        state.first += 1;
                        self.changed.notify_all();
                        return Ok(Some(OutputPiece::End(label)));
                    }
                }
                None => return Ok(None),
            }
            state = self.wait(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn label(bytes: u64) -> SectionLabel {
        SectionLabel::of(Kind::TableData, bytes)
    }

    #[test]
    fn sections_come_out_in_the_order_they_were_begun_however_they_are_made() {
        let buffer = ReorderBuffer::new(100);
        buffer.expect_sections(2);
        let (a, b) = (0, 1);
        buffer.push(b, vec![2]).unwrap();
        buffer.end(b, label(1));
        buffer.push(a, vec![1]).unwrap();
        buffer.end(a, label(0));
        let mut out = Vec::new();
        while let Some(piece) = buffer.next().unwrap() {
            out.push(piece);
        }
        let member = |n| OutputPiece::Member(vec![n]);
        assert_eq!(
            out,
            [member(1), OutputPiece::End(label(0)), member(2), OutputPiece::End(label(1))]
        );
    }

    #[test]
    fn the_section_being_written_never_waits_and_the_others_do() {
        let buffer = Arc::new(ReorderBuffer::new(10));
        buffer.expect_sections(2);
        let (a, b) = (0, 1);
        buffer.push(b, vec![0; 10]).unwrap();
        buffer.push(a, vec![0; 1000]).unwrap();
        let other = Arc::clone(&buffer);
        let maker =
            std::thread::spawn(move || other.push(b, vec![0; 10]).map(|()| other.end(b, label(0))));
        buffer.end(a, label(0));
        let mut bytes = 0;
        while let Some(piece) = buffer.next().unwrap() {
            if let OutputPiece::Member(member) = piece {
                bytes += member.len();
            }
        }
        assert_eq!((maker.join().unwrap(), bytes), (Ok(()), 1020));
    }

    #[test]
    fn an_abandoned_buffer_wakes_everyone_who_waits() {
        let buffer = Arc::new(ReorderBuffer::new(1));
        buffer.expect_sections(2);
        let b = 1;
        buffer.push(b, vec![0; 10]).unwrap();
        let other = Arc::clone(&buffer);
        let maker = std::thread::spawn(move || other.push(b, vec![0; 10]));
        buffer.abandon();
        assert_eq!(maker.join().unwrap(), Err(Abandoned));
        assert_eq!(buffer.next(), Err(Abandoned));
    }
}
