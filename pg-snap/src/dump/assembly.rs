//! Sections made at the same time, written one behind the other: the first one that is not finished
//! is written as it is made, the others wait in memory, and their makers wait where they hold too
//! much.

use crate::index::Kind;
use crate::sql::Name;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What a section will be in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub kind: Kind,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub root: Option<Name>,
    pub rows: u64,
    pub bytes: u64,
}

impl Label {
    /// Of a section that is not a table's.
    pub fn of(kind: Kind, bytes: u64) -> Self {
        Self { kind, schema: None, table: None, root: None, rows: 0, bytes }
    }
}

/// What the writer is given.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Member(Vec<u8>),
    /// The section whose members came last is finished.
    End(Label),
}

/// Nothing more will come: a maker or the writer has failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Abandoned;

#[derive(Default)]
struct Part {
    members: VecDeque<Vec<u8>>,
    label: Option<Label>,
}

#[derive(Default)]
struct State {
    parts: VecDeque<Part>,
    /// The number of `parts[0]`.
    first: usize,
    /// Bytes of members in memory.
    held: usize,
    abandoned: bool,
}

impl State {
    /// Whether the writer has nothing else to write than this section.
    fn is_wanted(&self, number: usize) -> bool {
        number == self.first && self.parts.front().is_some_and(|part| part.members.is_empty())
    }
}

/// See the module.
pub struct Assembly {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
}

impl Assembly {
    /// Holds no more than `limit` bytes that are not yet written, and two members more.
    pub fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// So many sections will come.
    pub fn expect(&self, sections: usize) {
        self.lock().parts.resize_with(sections, Part::default);
    }

    /// Adds to a section, when there is room.
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
        state.parts[at].members.push_back(member);
        self.changed.notify_all();
        Ok(())
    }

    /// Finishes a section.
    pub fn end(&self, number: usize, label: Label) {
        let mut state = self.lock();
        let at = number - state.first;
        state.parts[at].label = Some(label);
        self.changed.notify_all();
    }

    /// Frees everybody who waits.
    pub fn abandon(&self) {
        self.lock().abandoned = true;
        self.changed.notify_all();
    }

    pub fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    /// What is to be written next; none when all is.
    ///
    /// # Errors
    /// [`Abandoned`].
    pub fn next(&self) -> Result<Option<Piece>, Abandoned> {
        let mut state = self.lock();
        loop {
            if state.abandoned {
                return Err(Abandoned);
            }
            match state.parts.front_mut() {
                Some(part) => {
                    if let Some(member) = part.members.pop_front() {
                        state.held -= member.len();
                        self.changed.notify_all();
                        return Ok(Some(Piece::Member(member)));
                    }
                    if let Some(label) = part.label.take() {
                        state.parts.pop_front();
                        state.first += 1;
                        self.changed.notify_all();
                        return Ok(Some(Piece::End(label)));
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

    fn label(bytes: u64) -> Label {
        Label::of(Kind::TableData, bytes)
    }

    #[test]
    fn sections_come_out_in_the_order_they_were_begun_however_they_are_made() {
        let assembly = Assembly::new(100);
        assembly.expect(2);
        let (a, b) = (0, 1);
        assembly.push(b, vec![2]).unwrap();
        assembly.end(b, label(1));
        assembly.push(a, vec![1]).unwrap();
        assembly.end(a, label(0));
        let mut out = Vec::new();
        while let Some(piece) = assembly.next().unwrap() {
            out.push(piece);
        }
        let member = |n| Piece::Member(vec![n]);
        assert_eq!(out, [member(1), Piece::End(label(0)), member(2), Piece::End(label(1))]);
    }

    #[test]
    fn the_section_being_written_never_waits_and_the_others_do() {
        let assembly = Arc::new(Assembly::new(10));
        assembly.expect(2);
        let (a, b) = (0, 1);
        assembly.push(b, vec![0; 10]).unwrap();
        assembly.push(a, vec![0; 1000]).unwrap();
        let other = Arc::clone(&assembly);
        let maker =
            std::thread::spawn(move || other.push(b, vec![0; 10]).map(|()| other.end(b, label(0))));
        assembly.end(a, label(0));
        let mut bytes = 0;
        while let Some(piece) = assembly.next().unwrap() {
            if let Piece::Member(member) = piece {
                bytes += member.len();
            }
        }
        assert_eq!((maker.join().unwrap(), bytes), (Ok(()), 1020));
    }

    #[test]
    fn an_abandoned_one_frees_whoever_waits() {
        let assembly = Arc::new(Assembly::new(1));
        assembly.expect(2);
        let b = 1;
        assembly.push(b, vec![0; 10]).unwrap();
        let other = Arc::clone(&assembly);
        let maker = std::thread::spawn(move || other.push(b, vec![0; 10]));
        assembly.abandon();
        assert_eq!(maker.join().unwrap(), Err(Abandoned));
        assert_eq!(assembly.next(), Err(Abandoned));
    }
}
