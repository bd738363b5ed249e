//! Compiled parts of Polyvox. Python decides; this moves bytes.

mod anthropic;
mod chat;
mod client;
mod connect;
mod connections;
mod decompress;
mod exchange;
mod executor;
mod failure;
mod http1;
mod http2;
mod hyper_io;
mod idle;
mod json;
mod mailbox;
mod network;
mod origin;
mod outgoing;
mod pacing;
mod pieces;
mod reactor;
mod readiness;
mod sink;
mod sse;
mod sse_reader;
mod task;
mod tcp;
mod timers;
mod tls;

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

/// The module `polyvox_native`.
#[pymodule(gil_used = false)]
mod polyvox_native {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_export]
    use crate::client::{Client, Pool};
    #[pymodule_export]
    use crate::exchange::Exchange;
    #[pymodule_export]
    use crate::failure::FailureError;
    #[pymodule_export]
    use crate::outgoing::Target;
    #[pymodule_export]
    use crate::sse_reader::SseReader;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// What the mutex holds, also after a panic: each is left as it may be found.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
