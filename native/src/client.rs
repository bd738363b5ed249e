//! What Python holds: a client, and the pool of each event loop.
//!
//! A pool works on its loop's own thread, when Python calls it, and at no other time. Closing and
//! cancelling may come from any thread. A forked process lets the parent's pools be as they are.

use std::mem::{forget, take};
use std::path::PathBuf;
use std::process;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyDict;

use crate::connect::Connector;
use crate::connections::Connections;
use crate::exchange::Exchange;
use crate::failure::{Failure, Kind};
use crate::locked;
use crate::network::Network;
use crate::origin::Proxy;
use crate::outgoing::{Address, Target};
use crate::reactor::Reactor;
use crate::task::Job;
use crate::tls::{Roots, Trust};

/// All connections of one transport.
#[pyclass(frozen)]
pub struct Client {
    trust: Arc<Trust>,
    keep_alive: Duration,
    max_connections: usize,
    networks: Mutex<Vec<Weak<Network>>>,
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
            trust: Trust::new(Roots { places }),
            keep_alive: seconds(keep_alive),
            max_connections,
            networks: Mutex::default(),
        }
    }

    /// The connections of one more event loop.
    fn pool(&self, event_loop: Py<PyAny>) -> PyResult<Pool> {
        let reactor = Reactor::new()?;
        let connector = Connector::new(reactor.clone(), self.trust.clone());
        let network = Arc::new(Network {
            connections: Arc::new(Connections::new(
                connector,
                self.keep_alive,
                self.max_connections,
            )),
            reactor,
            news: Arc::default(),
            process: process::id(),
        });
        let mut networks = locked(&self.networks);
        networks.retain(|network| network.strong_count() > 0);
        networks.push(Arc::downgrade(&network));
        drop(networks);
        Ok(Pool {
            network,
            event_loop,
            timers: Mutex::default(),
        })
    }

    /// Close every connection at once.
    fn close(&self) {
        let networks = take(&mut *locked(&self.networks));
        for network in networks.iter().filter_map(Weak::upgrade) {
            network.close();
        }
    }
}

/// The connections of one event loop.
#[pyclass(frozen)]
pub struct Pool {
    network: Arc<Network>,
    event_loop: Py<PyAny>,
    /// When the loop is going to call, and its handles for that; the earliest is the last.
    timers: Mutex<Vec<(Instant, Py<PyAny>)>>,
}

#[pymethods]
impl Pool {
    /// What the loop is to watch: when it can be read from, `turn` is to be called.
    #[cfg(unix)]
    fn fileno(&self) -> i32 {
        self.network.reactor.fileno()
    }

    /// No loop can watch it here.
    #[cfg(not(unix))]
    fn fileno(&self) -> PyResult<i32> {
        Err(pyo3::exceptions::PyNotImplementedError::new_err(
            "not a socket",
        ))
    }

    /// See what has happened, and tell who waits for it. Nothing in here waits.
    fn turn(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().network.reactor.turn();
        Self::attend(slf)
    }

    /// A moment has come, or nearly, for which the loop was told to call. They come in order.
    fn due(slf: &Bound<'_, Self>) -> PyResult<()> {
        let called = locked(&slf.get().timers).pop();
        drop(called);
        Self::turn(slf)
    }

    /// Send a request; over a connection that is there, before this returns. The answer comes by and by.
    #[pyo3(signature = (target, method, headers, body, connect_timeout))]
    fn send(
        slf: &Bound<'_, Self>,
        target: &Target,
        method: &str,
        headers: &Bound<'_, PyDict>,
        body: PyBackedBytes,
        connect_timeout: Option<f64>,
    ) -> PyResult<Exchange> {
        let address = &target.0;
        let job = Job {
            headers: address.headers(headers)?,
            address: address.clone(),
            method: Method::from_bytes(method.as_bytes())
                .map_err(|error| Failure::new(Kind::Header, error.to_string()))?,
            body: Bytes::from_owner(body),
            connect_timeout: connect_timeout.map(seconds),
        };
        let pool = slf.get();
        let exchange = Exchange::begin(job, &pool.network, pool.event_loop.clone_ref(slf.py()));
        pool.network.reactor.run();
        Self::attend(slf)?;
        Ok(exchange)
    }

    /// Where to send requests for this URL, through this proxy; who asks, where no header says it.
    #[staticmethod]
    #[pyo3(signature = (url, proxy, authorization))]
    fn target(
        url: &str,
        proxy: Option<(bool, String, u16, Option<String>)>,
        authorization: Option<&str>,
    ) -> PyResult<Target> {
        let proxy = proxy.map(|(tls, host, port, authorization)| Proxy {
            tls,
            host,
            port,
            authorization,
        });
        Ok(Target(Arc::new(Address::of(url, proxy, authorization)?)))
    }

    /// Close every connection at once; the exchanges under way fail, of which `turn` tells.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.network.close();
        let timers = take(&mut *locked(&self.timers));
        for (_, handle) in timers {
            handle.call_method0(py, intern!(py, "cancel"))?;
        }
        let is_closed = self
            .event_loop
            .call_method0(py, intern!(py, "is_closed"))?
            .is_truthy(py)?;
        if is_closed {
            locked(&self.network.news).clear(); // nobody can be told any more
        }
        Ok(())
    }
}

impl Pool {
    /// Tell those for whom there are news, and see to it that the loop calls when a timer is due.
    fn attend(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, pool) = (slf.py(), slf.get());
        let news = take(&mut *locked(&pool.network.news));
        for reader in news {
            let told = reader.call_method1(py, intern!(py, "set_result"), (py.None(),));
            if let Err(error) = told
                && !reader
                    .call_method0(py, intern!(py, "done"))?
                    .is_truthy(py)?
            {
                return Err(error); // otherwise it was cancelled meanwhile
            }
        }
        match pool.network.reactor.timers().earliest() {
            Some(moment) => Self::be_called(slf, moment),
            None => Ok(()),
        }
    }

    /// Have the loop call at this moment, if it does not call before. What it was told before stands: a
    /// pause of a millisecond comes often while something else waits for minutes.
    fn be_called(slf: &Bound<'_, Self>, moment: Instant) -> PyResult<()> {
        let (py, pool) = (slf.py(), slf.get());
        if matches!(locked(&pool.timers).last(), Some((at, _)) if *at <= moment) {
            return Ok(());
        }
        let delay = moment.saturating_duration_since(Instant::now());
        let due = slf.getattr(intern!(py, "due"))?;
        let handle = pool.event_loop.call_method1(
            py,
            intern!(py, "call_later"),
            (delay.as_secs_f64(), due),
        )?;
        locked(&pool.timers).push((moment, handle));
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.network.process == process::id() {
            self.network.close();
        } else {
            forget(self.network.clone()); // the sockets are the parent's
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
