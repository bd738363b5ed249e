//! What is known of a socket: whether reading and writing may bring something, and who waits for that.
//!
//! The system tells each change once. Until a read or a write finds nothing more to do it stands here.

use std::mem::take;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use mio::event::Event;

use crate::locked;

/// Of one socket.
pub struct Readiness {
    key: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    readable: Side,
    writable: Side,
}

/// One direction.
#[derive(Default)]
struct Side {
    is_ready: bool,
    /// No more will come, and no change of that be told.
    is_over: bool,
    waiting: Option<Waker>,
}

/// Which direction.
#[derive(Clone, Copy)]
pub enum Direction {
    /// From the socket.
    Read,
    /// To it.
    Write,
}

impl Readiness {
    /// Of a socket that nothing is known of.
    pub fn new(key: usize) -> Self {
        let state = Mutex::default();
        Self { key, state }
    }

    /// The number under which it is watched.
    pub fn key(&self) -> usize {
        self.key
    }

    /// Ready when it may be worth trying.
    pub fn poll(&self, direction: Direction, context: &mut Context<'_>) -> Poll<()> {
        let mut state = locked(&self.state);
        let side = state.side(direction);
        if side.is_ready || side.is_over {
            return Poll::Ready(());
        }
        if !matches!(&side.waiting, Some(waker) if waker.will_wake(context.waker())) {
            let before = side.waiting.replace(context.waker().clone());
            drop(state);
            drop(before); // the last of a task, maybe, whose end takes its time
        }
        Poll::Pending
    }

    /// A try found that there is nothing more to do for now.
    pub fn exhausted(&self, direction: Direction) {
        locked(&self.state).side(direction).is_ready = false;
    }

    /// Have the next try made whatever is known.
    pub fn doubt(&self, direction: Direction) {
        locked(&self.state).side(direction).is_ready = true;
    }

    /// The system tells of a change.
    pub fn note(&self, event: &Event) {
        let mut state = locked(&self.state);
        let failed = event.is_error();
        let woken = [
            state
                .readable
                .note(event.is_readable(), failed || event.is_read_closed()),
            state
                .writable
                .note(event.is_writable(), failed || event.is_write_closed()),
        ];
        drop(state);
        woken.into_iter().flatten().for_each(Waker::wake);
    }
}

impl State {
    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Read => &mut self.readable,
            Direction::Write => &mut self.writable,
        }
    }
}

impl Side {
    fn note(&mut self, is_ready: bool, is_over: bool) -> Option<Waker> {
        self.is_ready |= is_ready;
        self.is_over |= is_over;
        if is_ready || is_over {
            take(&mut self.waiting)
        } else {
            None
        }
    }
}
