//! What hyper wants of its surroundings: bytes, and a clock.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{self, ReadBufCursor};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connect::AnyStream;
use crate::timers::{Sleep, Timers};

/// The most that is read at once.
const ROOM: usize = 64 * 1024;

thread_local! {
    /// Where bytes are read to, before they go where hyper wants them: its own memory can be
    /// written to without `unsafe` only after it was filled with zeros, each time all of it.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A stream, as hyper reads and writes it.
pub struct HyperIo(pub AnyStream);

impl rt::Read for HyperIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut scratch = SCRATCH.take();
        scratch.resize(ROOM, 0);
        let room = buffer.remaining().min(ROOM);
        let mut found = ReadBuf::new(&mut scratch[..room]);
        let polled = Pin::new(&mut self.0).poll_read(context, &mut found);
        buffer.put_slice(found.filled());
        SCRATCH.set(scratch);
        polled
    }
}

impl rt::Write for HyperIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// The reactor's timers, as hyper uses them.
pub struct HyperTimer(pub Arc<Timers>);

impl rt::Timer for HyperTimer {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(self.0.sleep(time))
    }

    fn sleep_until(&self, due: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(self.0.sleep_until(due))
    }
}

impl rt::Sleep for Sleep {}
