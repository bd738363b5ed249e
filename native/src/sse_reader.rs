//! Bytes of a body in, frames for a decoder out, as Python objects.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::pieces::{Piece, Recogniser, same_name};
use crate::sse::{Sink, Splitter, Stop};

/// Cuts server-sent events, and joins those to runs that bring nothing but a piece of text.
///
/// `make_event(data, event)` and `make_run(data, event, texts, index, kind)` make the frames, and
/// `make_error()` the error of an event that is too long. A run begins with the second of such
/// events: the first one opens a block, and that is for the decoder to do. Frames completed before
/// an error are given first; the error then comes with the next call, and with every other.
#[pyclass(module = "polyvox_native")]
pub struct SseReader {
    splitter: Splitter,
    recogniser: Recogniser,
    makers: Makers,
    last: Option<Key>,
    error: Option<Py<PyAny>>,
}

/// The Python callables that make what is given out.
struct Makers {
    event: Py<PyAny>,
    run: Py<PyAny>,
    error: Py<PyAny>,
}

/// What the pieces of one run have in common.
#[derive(Clone, PartialEq)]
struct Key {
    index: u32,
    kind: &'static str,
    event: String,
}

#[pymethods]
impl SseReader {
    #[new]
    fn new(
        make_event: Py<PyAny>,
        make_run: Py<PyAny>,
        make_error: Py<PyAny>,
        max_event_bytes: usize,
        dialect: &str,
    ) -> Self {
        SseReader {
            splitter: Splitter::new(max_event_bytes),
            recogniser: Recogniser::of(dialect),
            makers: Makers {
                event: make_event,
                run: make_run,
                error: make_error,
            },
            last: None,
            error: None,
        }
    }

    /// The frames that these bytes complete.
    fn feed<'py>(&mut self, py: Python<'py>, chunk: &[u8]) -> PyResult<Bound<'py, PyList>> {
        self.take(py, |splitter, frames| splitter.feed(chunk, frames))
    }

    /// The body is over: the frame that was still owed its end.
    fn close<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.take(py, |splitter, frames| splitter.close(frames))
    }
}

impl SseReader {
    fn take<'py>(
        &mut self,
        py: Python<'py>,
        cut: impl FnOnce(&mut Splitter, &mut Frames<'_, 'py>) -> Result<(), Stop<PyErr>>,
    ) -> PyResult<Bound<'py, PyList>> {
        if let Some(error) = &self.error {
            return Err(PyErr::from_value(error.bind(py).clone()));
        }
        let mut frames = Frames {
            list: PyList::empty(py),
            run: None,
            last: &mut self.last,
            recogniser: &mut self.recogniser,
            makers: &self.makers,
        };
        let outcome = cut(&mut self.splitter, &mut frames);
        frames.end_run()?;
        let list = frames.list;
        match outcome {
            Ok(()) => Ok(list),
            Err(Stop::Refused(error)) => Err(error),
            Err(Stop::TooLong) => {
                self.splitter.let_go();
                let error = self.makers.error.bind(py).call0()?;
                self.error = Some(error.clone().unbind());
                if list.is_empty() {
                    return Err(PyErr::from_value(error));
                }
                Ok(list)
            }
        }
    }
}

/// The frames of one call, as they come up.
struct Frames<'a, 'py> {
    list: Bound<'py, PyList>,
    run: Option<Run<'py>>,
    last: &'a mut Option<Key>,
    recogniser: &'a mut Recogniser,
    makers: &'a Makers,
}

/// A run that may go on: its texts, and its frames' data, joined by LF.
struct Run<'py> {
    texts: Bound<'py, PyList>,
    data: Vec<u8>,
}

impl Sink for Frames<'_, '_> {
    type Refusal = PyErr;

    fn event(&mut self, data: &[u8], name: &str) -> PyResult<()> {
        let Some(piece) = self.recogniser.piece(data, name) else {
            self.end_run()?;
            *self.last = None;
            return self.raw(data, name);
        };
        if self.goes_on(&piece, name) {
            return self.add(&piece, data);
        }
        self.end_run()?;
        *self.last = Some(Key {
            index: piece.index,
            kind: piece.kind,
            event: name.to_owned(),
        });
        self.raw(data, name)
    }
}

impl<'py> Frames<'_, 'py> {
    fn goes_on(&self, piece: &Piece<'_>, name: &str) -> bool {
        self.last.as_ref().is_some_and(|last| {
            last.index == piece.index && last.kind == piece.kind && same_name(&last.event, name)
        })
    }

    fn add(&mut self, piece: &Piece<'_>, data: &[u8]) -> PyResult<()> {
        let py = self.list.py();
        let run = self.run.get_or_insert_with(|| Run {
            texts: PyList::empty(py),
            data: Vec::new(),
        });
        if !run.data.is_empty() {
            run.data.push(b'\n');
        }
        run.data.extend_from_slice(data);
        run.texts.append(PyString::new(py, &piece.text))
    }

    fn raw(&mut self, data: &[u8], name: &str) -> PyResult<()> {
        let py = self.list.py();
        let make = self.makers.event.bind(py);
        self.list
            .append(make.call1((PyBytes::new(py, data), name))?)
    }

    fn end_run(&mut self) -> PyResult<()> {
        let (Some(run), Some(key)) = (self.run.take(), &self.last) else {
            return Ok(());
        };
        let py: Python<'py> = self.list.py();
        let data = PyBytes::new(py, &run.data);
        let values = (data, key.event.as_str(), run.texts, key.index, key.kind);
        self.list.append(self.makers.run.bind(py).call1(values)?)
    }
}
