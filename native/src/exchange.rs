//! A request that was sent, as Python holds it.

use std::borrow::Cow;
use std::process;
use std::sync::Arc;
use std::thread::panicking;

use http::response::Parts;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::executor::Task;
use crate::failure::{Failure, Kind};
use crate::mailbox::{Mailbox, Piece};
use crate::network::Network;
use crate::task::{Job, run};

/// A request that was sent, and its answer as far as it has come. Dropping it cancels it.
#[pyclass(frozen)]
pub struct Exchange {
    mailbox: Arc<Mailbox>,
    task: Arc<Task>,
    network: Arc<Network>,
    event_loop: Py<PyAny>,
}

#[pymethods]
impl Exchange {
    /// Status and headers by lower-case name; when they are not there yet, the future to await before
    /// asking again.
    fn head<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.mailbox.head()? {
            Some(head) => {
                let found = (head.status.as_u16(), named(py, &head)?);
                Ok(found.into_pyobject(py)?.into_any())
            }
            None => self.news(py),
        }
    }

    /// All that has come of the body; nothing at its end; when there is nothing yet, the future to
    /// await before asking again.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.mailbox.read(py)? {
            Piece::Bytes(bytes) => Ok(bytes.into_any()),
            Piece::End => Ok(PyBytes::new(py, b"").into_any()),
            Piece::Nothing => self.news(py),
        }
    }

    /// What is left of the body, if all of it has come by now; None if there is something to wait for.
    fn whole<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.mailbox.whole(py)
    }

    /// Close the connection at once, unless the answer is over.
    fn cancel(&self) {
        if self.mailbox.cancel() {
            self.task.abort();
            self.network.call_if_news();
        }
    }
}

impl Exchange {
    /// Begin with this; whoever waits for it does so in this loop. Its task is polled when tasks run next.
    pub fn begin(job: Job, network: &Arc<Network>, event_loop: Py<PyAny>) -> Self {
        let mailbox = Arc::new(Mailbox::new(network.news.clone()));
        let ending = Ending(mailbox.clone());
        let connections = network.connections.clone();
        let task = network.reactor.spawn(async move {
            let ending = ending;
            run(job, connections, &ending.0).await;
        });
        Self {
            mailbox,
            task,
            network: network.clone(),
            event_loop,
        }
    }

    fn news<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let future = self
            .event_loop
            .call_method0(py, intern!(py, "create_future"))?;
        if let Some(other) = self.mailbox.wait(future.clone_ref(py))
            && !other.call_method0(py, intern!(py, "done"))?.is_truthy(py)?
        {
            self.mailbox.wait(other);
            let text = "somebody else waits for the same answer";
            return Err(PyRuntimeError::new_err(text));
        }
        Ok(future.into_bound(py))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.mailbox.is_over() && self.network.process == process::id() {
            self.cancel();
        }
    }
}

/// A repeated header's values are joined by commas (RFC 9110, section 5.3).
fn named<'py>(py: Python<'py>, head: &Parts) -> PyResult<Bound<'py, PyDict>> {
    let headers = PyDict::new(py);
    let mut left = head.headers.iter().peekable(); // those of one name stand together
    while let Some((name, value)) = left.next() {
        let mut value = text(value);
        while let Some((_, more)) = left.next_if(|(next, _)| *next == name) {
            value = format!("{value}, {}", text(more)).into();
        }
        headers.set_item(name.as_str(), PyString::new(py, &value))?;
    }
    Ok(headers)
}

fn text(value: &http::HeaderValue) -> Cow<'_, str> {
    let bytes = value.as_bytes();
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// Tells the reader that there won't be any more, whatever becomes of the task.
struct Ending(Arc<Mailbox>);

impl Drop for Ending {
    fn drop(&mut self) {
        let failure = if panicking() {
            Failure::new(Kind::Panic, "polyvox-native panicked")
        } else {
            Failure::new(Kind::Closed, "closed")
        };
        self.0.end(Err(failure));
    }
}
