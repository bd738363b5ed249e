//! What an exchange's task has for its reader in Python, and which of both waits for the other.

use std::mem::{swap, take};
use std::sync::{Arc, Mutex};

use http::response::Parts;
use pyo3::types::PyBytes;
use pyo3::{Bound, Py, PyAny, Python};
use tokio::sync::Notify;

use crate::failure::{Failure, Kind};
use crate::locked;

/// From here on the socket is not read any further until the reader has taken something.
const FULL: usize = 256 * 1024;

/// Futures of Python's whose readers have news, for the event loop's thread to tell them.
pub type News = Mutex<Vec<Py<PyAny>>>;

/// The head, the part of the body that nobody has read yet, and the end.
pub struct Mailbox {
    news: Arc<News>,
    state: Mutex<State>,
    room: Notify,
}

#[derive(Default)]
struct State {
    head: Option<Parts>,
    body: Vec<u8>,
    end: Option<Result<(), Failure>>,
    /// What the reader waits for.
    waiting: Option<Py<PyAny>>,
}

impl State {
    fn has_news(&self) -> bool {
        self.head.is_some() || !self.body.is_empty() || self.end.is_some()
    }

    fn append(&mut self, bytes: &mut Vec<u8>) {
        if self.end.is_some() {
            bytes.clear(); // cancelled: nobody reads them
        } else if self.body.is_empty() {
            swap(&mut self.body, bytes);
        } else {
            self.body.append(bytes);
        }
    }
}

/// What is there of a body.
pub enum Piece<'py> {
    /// All that came since it was asked last.
    Bytes(Bound<'py, PyBytes>),
    /// Nothing yet.
    Nothing,
    /// Nothing, and there won't be anything any more.
    End,
}

impl Mailbox {
    /// An empty one.
    pub fn new(news: Arc<News>) -> Self {
        Self {
            news,
            state: Mutex::default(),
            room: Notify::new(),
        }
    }

    // ------------------------------------------------------------------- the task's side

    /// Put the head in. Nobody is told: what comes with it in one packet is to be there, too.
    pub fn put_head(&self, head: Parts) {
        locked(&self.state).head = Some(head);
    }

    /// Put these bytes in, leaving the vector empty, and wake the reader. Whether there is room for more.
    pub fn put(&self, bytes: &mut Vec<u8>) -> bool {
        let mut state = locked(&self.state);
        state.append(bytes);
        let has_room = state.body.len() < FULL;
        if state.has_news() {
            self.tell(state.waiting.take());
        }
        has_room
    }

    /// Put the last of them in. Nobody is told before the end follows.
    pub fn hold(&self, bytes: &mut Vec<u8>) {
        locked(&self.state).append(bytes);
    }

    /// Wait until the reader has taken something out of a full box.
    pub async fn room(&self) {
        self.room.notified().await;
    }

    /// Say how it ended; what is said first holds. Whether this was it.
    pub fn end(&self, end: Result<(), Failure>) -> bool {
        let mut state = locked(&self.state);
        if state.end.is_some() {
            return false;
        }
        state.end = Some(end);
        self.tell(state.waiting.take());
        true
    }

    /// Whether the end is known.
    pub fn is_over(&self) -> bool {
        locked(&self.state).end.is_some()
    }

    fn tell(&self, reader: Option<Py<PyAny>>) {
        if let Some(reader) = reader {
            locked(&self.news).push(reader);
        }
    }

    // ----------------------------------------------------------------- the reader's side

    /// The head, once; None when it is not there yet.
    pub fn head(&self) -> Result<Option<Parts>, Failure> {
        let mut state = locked(&self.state);
        if let Some(head) = state.head.take() {
            return Ok(Some(head));
        }
        match &state.end {
            Some(Err(failure)) => Err(failure.clone()),
            Some(Ok(())) => Err(Failure::new(Kind::Panic, "the head was asked for twice")),
            None => Ok(None),
        }
    }

    /// All that is there of the body.
    pub fn read<'py>(&self, py: Python<'py>) -> Result<Piece<'py>, Failure> {
        let mut state = locked(&self.state);
        if !state.body.is_empty() {
            let body = take(&mut state.body);
            drop(state);
            if body.len() >= FULL {
                self.room.notify_one();
            }
            return Ok(Piece::Bytes(PyBytes::new(py, &body)));
        }
        match &state.end {
            Some(Ok(())) => Ok(Piece::End),
            Some(Err(failure)) => Err(failure.clone()),
            None => Ok(Piece::Nothing),
        }
    }

    /// What is left of the body, if its end is there, too.
    pub fn whole<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let mut state = locked(&self.state);
        let is_whole = matches!(state.end, Some(Ok(())));
        is_whole.then(|| PyBytes::new(py, &take(&mut state.body)))
    }

    /// Have this future told of the next news, or at once if there are some. What stood there before
    /// is given back.
    pub fn wait(&self, reader: Py<PyAny>) -> Option<Py<PyAny>> {
        let mut state = locked(&self.state);
        if state.has_news() {
            self.tell(Some(reader));
            return None;
        }
        state.waiting.replace(reader)
    }

    /// Forget what is there and end it. Whether it was still under way.
    pub fn cancel(&self) -> bool {
        let was_under_way = self.end(Err(Failure::new(Kind::Closed, "closed")));
        if was_under_way {
            let mut state = locked(&self.state);
            state.head = None;
            state.body = Vec::new();
        }
        was_under_way
    }
}
