//! What Python holds: a client with its thread, the pool of each event loop, and exchanges.
//!
//! The thread runs every connection of the client and never asks for Python's lock. A process that
//! was forked has no such thread; of the parent's clients it lets everything be as it is.

use std::collections::HashMap;
use std::mem::{forget, take};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, panicking};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::response::Parts;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::bell::Bell;
use crate::connect::Connector;
use crate::connections::Connections;
use crate::failure::{Failure, Kind};
use crate::locked;
use crate::mailbox::{Mailbox, Piece};
use crate::origin::Proxy;
use crate::outgoing;
use crate::task::{Job, run};
use crate::tls::Roots;

/// All connections of one transport, and the thread on which they are driven.
#[pyclass(frozen)]
pub struct Client {
    connector: Arc<Connector>,
    keep_alive: Duration,
    max_connections: usize,
    process: u32,
    running: Mutex<Option<Running>>,
}

struct Running {
    handle: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

#[pymethods]
impl Client {
    /// `certificates`: files and directories of those that are trusted; None: the platform's own.
    #[new]
    #[pyo3(signature = (max_connections, keep_alive, certificates=None))]
    fn new(
        max_connections: usize,
        keep_alive: f64,
        certificates: Option<(Vec<PathBuf>, Vec<PathBuf>)>,
    ) -> Self {
        let places = certificates;
        Self {
            connector: Arc::new(Connector::new(Roots { places })),
            keep_alive: seconds(keep_alive),
            max_connections,
            process: process::id(),
            running: Mutex::default(),
        }
    }

    /// The connections of one more event loop.
    fn pool(&self) -> PyResult<Pool> {
        let mut running = locked(&self.running);
        if running.is_none() {
            *running = Some(start()?);
        }
        let handle = running.as_ref().map(|running| running.handle.clone());
        drop(running);
        let connections = Connections::new(
            self.connector.clone(),
            self.keep_alive,
            self.max_connections,
        );
        Ok(Pool {
            handle: handle.ok_or_else(|| Failure::new(Kind::Closed, "closed"))?,
            connections: Arc::new(connections),
            bell: Arc::new(Bell::new()?),
            live: Arc::default(),
            latest: AtomicU64::new(0),
        })
    }

    /// Close every connection at once, and end the thread.
    fn close(&self, py: Python<'_>) {
        let Some(running) = self.stop() else {
            return;
        };
        // It joins when all sockets are closed. A panic in there was told to whom it concerned.
        py.detach(|| drop(running.join()));
    }
}

impl Client {
    /// Have the thread end.
    fn stop(&self) -> Option<JoinHandle<()>> {
        let running = locked(&self.running).take()?;
        if self.process != process::id() {
            forget(running); // there is no such thread in this process
            return None;
        }
        let _ = running.stop.send(());
        Some(running.thread)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.process == process::id() {
            self.stop();
        } else if let Ok(running) = self.running.get_mut() {
            forget(running.take());
        }
    }
}

fn start() -> std::io::Result<Running> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .thread_name("polyvox-native-dns")
        .build()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread::Builder::new()
        .name("polyvox-native".to_owned())
        .spawn(move || {
            let _ = runtime.block_on(stopped);
            // Ends all tasks; the system's resolver may take its time, and nobody waits for it.
            runtime.shutdown_background();
        })?;
    Ok(Running {
        handle,
        stop,
        thread,
    })
}

/// The connections of one event loop.
#[pyclass(frozen)]
pub struct Pool {
    handle: Handle,
    connections: Arc<Connections>,
    bell: Arc<Bell>,
    live: Arc<Live>,
    latest: AtomicU64,
}

/// The exchanges that are under way, and their tasks.
#[derive(Default)]
struct Live(Mutex<HashMap<u64, (Arc<Mailbox>, AbortHandle)>>);

#[pymethods]
impl Pool {
    /// What the loop is to watch: when it can be read from, `take` tells who has news.
    #[cfg(unix)]
    fn fileno(&self) -> i32 {
        use std::os::fd::AsRawFd;
        self.bell.reader().as_raw_fd()
    }

    /// No loop can watch a pipe here: `wait` is for them.
    #[cfg(not(unix))]
    fn fileno(&self) -> PyResult<i32> {
        Err(pyo3::exceptions::PyNotImplementedError::new_err(
            "not a socket",
        ))
    }

    /// Wait, in a thread of its own, until there is news; for loops that can't watch a pipe.
    fn wait(&self, py: Python<'_>) {
        py.detach(|| self.bell.wait());
    }

    /// Which exchanges have news since this was asked last.
    fn take(&self) -> Vec<u64> {
        self.bell.take()
    }

    /// Send a request. The answer comes by and by.
    #[allow(clippy::too_many_arguments)] // they are what a request is made of
    #[pyo3(signature = (method, url, headers, body, proxy, connect_timeout))]
    fn send(
        &self,
        method: &str,
        url: &str,
        headers: &Bound<'_, PyDict>,
        body: &[u8],
        proxy: Option<(bool, String, u16, Option<String>)>,
        connect_timeout: Option<f64>,
    ) -> PyResult<Exchange> {
        let proxy = proxy.map(|(tls, host, port, authorization)| {
            Arc::new(Proxy {
                tls,
                host,
                port,
                authorization,
            })
        });
        let (origin, uri) = outgoing::address(url, proxy)?;
        let job = Job {
            headers: outgoing::headers(headers, &origin)?,
            origin: Arc::new(origin),
            method: Method::from_bytes(method.as_bytes())
                .map_err(|error| Failure::new(Kind::Header, error.to_string()))?,
            uri,
            body: Bytes::copy_from_slice(body),
            connect_timeout: connect_timeout.map(seconds),
        };
        Ok(self.begin(job))
    }

    /// Close every connection at once; the exchanges under way fail.
    fn close(&self) {
        self.connections.close();
        let live = take(&mut *locked(&self.live.0));
        for (mailbox, task) in live.into_values() {
            mailbox.cancel(); // readers find it closed, also if they look before the task is gone
            task.abort();
        }
        self.bell.ring(0);
    }
}

impl Pool {
    fn begin(&self, job: Job) -> Exchange {
        let id = self.latest.fetch_add(1, Relaxed) + 1;
        let mailbox = Arc::new(Mailbox::new(id, self.bell.clone()));
        let ending = Ending(mailbox.clone(), self.live.clone());
        let connections = self.connections.clone();
        let task = self.handle.spawn(async move {
            let ending = ending;
            run(job, connections, &ending.0).await;
        });
        let mut live = locked(&self.live.0);
        if !mailbox.is_over() {
            live.insert(id, (mailbox.clone(), task.abort_handle()));
        }
        drop(live);
        Exchange {
            mailbox,
            live: self.live.clone(),
            process: process::id(),
        }
    }
}

/// Tells the reader that there won't be any more, whatever becomes of the task.
struct Ending(Arc<Mailbox>, Arc<Live>);

impl Drop for Ending {
    fn drop(&mut self) {
        let failure = if panicking() {
            Failure::new(Kind::Panic, "the network's thread panicked")
        } else {
            Failure::new(Kind::Closed, "closed")
        };
        self.0.end(Err(failure)); // first: whoever enters a task looks whether it is over
        locked(&self.1.0).remove(&self.0.id());
    }
}

/// A request that was sent, and its answer as far as it has come. Dropping it cancels it.
#[pyclass(frozen)]
pub struct Exchange {
    mailbox: Arc<Mailbox>,
    live: Arc<Live>,
    process: u32,
}

#[pymethods]
impl Exchange {
    /// The number by which the bell tells of it.
    #[getter]
    fn id(&self) -> u64 {
        self.mailbox.id()
    }

    /// Status and headers by lower-case name; None when they are not there yet, and the bell will ring.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<(u16, Bound<'py, PyDict>)>> {
        let head = self.mailbox.head()?;
        head.map(|head| Ok((head.status.as_u16(), named(py, &head)?)))
            .transpose()
    }

    /// All that has come of the body; nothing at its end; None when the bell will ring.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(match self.mailbox.read(py)? {
            Piece::Bytes(bytes) => Some(bytes),
            Piece::End => Some(PyBytes::new(py, b"")),
            Piece::Nothing => None,
        })
    }

    /// Close the connection at once, unless the answer is over.
    fn cancel(&self) {
        if self.mailbox.cancel() {
            let task = locked(&self.live.0).remove(&self.mailbox.id());
            task.as_ref().inspect(|(_, task)| task.abort());
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.process == process::id() {
            self.cancel();
        }
    }
}

/// A repeated header's values are joined by commas (RFC 9110, section 5.3).
fn named<'py>(py: Python<'py>, head: &Parts) -> PyResult<Bound<'py, PyDict>> {
    let headers = PyDict::new(py);
    for name in head.headers.keys() {
        let values: Vec<_> = head.headers.get_all(name).iter().map(text).collect();
        headers.set_item(name.as_str(), PyString::new(py, &values.join(", ")))?;
    }
    Ok(headers)
}

fn text(value: &http::HeaderValue) -> String {
    String::from_utf8(value.as_bytes().to_vec()).unwrap_or_else(|_| {
        value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect()
    })
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
