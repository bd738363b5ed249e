//! How the network's thread tells an event loop that there is news: a pipe that the loop watches.
//!
//! One byte is in it at most. Whatever happens while it is there is in the list that comes with it,
//! so that a loop which is busy wakes once for all that came meanwhile.

use std::io::{PipeReader, PipeWriter, Read, Result, Write, pipe};
use std::mem::{replace, take};
use std::sync::Mutex;

use crate::locked;

/// The bell of one event loop.
pub struct Bell {
    reader: PipeReader,
    writer: PipeWriter,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the byte is in the pipe, or is going to be at once.
    rung: bool,
    /// Whether a thread waits at the reader's end, and has taken the byte before the ids are taken.
    has_listener: bool,
    ids: Vec<u64>,
}

impl Bell {
    /// A bell that nobody has rung.
    pub fn new() -> Result<Self> {
        let (reader, writer) = pipe()?;
        let state = Mutex::default();
        Ok(Self {
            reader,
            writer,
            state,
        })
    }

    /// What the loop watches.
    pub fn reader(&self) -> &PipeReader {
        &self.reader
    }

    /// Say that the exchange of this number has news.
    pub fn ring(&self, id: u64) {
        let mut state = locked(&self.state);
        state.ids.push(id);
        let was_rung = replace(&mut state.rung, true);
        drop(state); // who is woken wants it at once
        if !was_rung {
            // The pipe is empty, so this does not block; and it can't fail while we hold both ends.
            let _ = (&self.writer).write(&[1]);
        }
    }

    /// Wait until it rings. From the first time on it is for the listener alone to hear it.
    pub fn wait(&self) {
        locked(&self.state).has_listener = true;
        let _ = (&self.reader).read(&mut [0]);
        locked(&self.state).rung = false;
    }

    /// Which exchanges have news since this was asked last.
    pub fn take(&self) -> Vec<u64> {
        let mut state = locked(&self.state);
        if state.rung && !state.has_listener {
            state.rung = false;
            let _ = (&self.reader).read(&mut [0]);
        }
        take(&mut state.ids)
    }
}
