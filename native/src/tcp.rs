//! A TCP connection that is driven by the reactor: read and written as far as that goes without waiting.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use mio::net;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::pacing::{PAUSE, Pacing};
use crate::reactor::Reactor;
use crate::readiness::{Direction, Readiness};
use crate::timers::Sleep;

/// The connection. Dropping it closes the socket.
pub struct TcpStream {
    io: net::TcpStream,
    reactor: Arc<Reactor>,
    readiness: Arc<Readiness>,
    /// Whether we are told when there is room to write.
    watches_room: bool,
    pacing: Pacing,
    /// The socket is not looked at before this is over.
    pause: Option<Pin<Box<Sleep>>>,
}

impl TcpStream {
    /// Connect to this address.
    pub async fn connect(address: SocketAddr, reactor: Arc<Reactor>) -> io::Result<Self> {
        let mut io = net::TcpStream::connect(address)?;
        let readiness = reactor.add(&mut io)?;
        let mut stream = Self {
            io,
            reactor,
            readiness,
            watches_room: true,
            pacing: Pacing::default(),
            pause: None,
        };
        poll_fn(|context| stream.poll_connected(context)).await?;
        stream.watch_room(false)?;
        stream.io.set_nodelay(true)?;
        Ok(stream)
    }

    /// What is known of the socket, for those who do not hold the stream itself.
    pub fn readiness(&self) -> &Arc<Readiness> {
        &self.readiness
    }

    fn poll_connected(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.readiness.poll(Direction::Write, context));
        if let Some(error) = self.io.take_error()? {
            return Poll::Ready(Err(error));
        }
        match self.io.peer_addr() {
            Ok(_) => Poll::Ready(Ok(())),
            Err(error) if error.kind() == ErrorKind::NotConnected => {
                self.readiness.exhausted(Direction::Write);
                ready!(self.readiness.poll(Direction::Write, context));
                Poll::Ready(Err(error))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_write_with(
        &mut self,
        context: &mut Context<'_>,
        length: usize,
        write: impl Fn(&mut net::TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.pacing.asked();
        if self.pause.is_some() {
            self.look_again()?;
        }
        loop {
            ready!(self.readiness.poll(Direction::Write, context));
            match write(&mut self.io) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readiness.exhausted(Direction::Write);
                    self.watch_room(true)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(written) => {
                    self.watch_room(written < length)?;
                    return Poll::Ready(Ok(written));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn watch_room(&mut self, wanted: bool) -> io::Result<()> {
        if self.watches_room == wanted {
            return Ok(());
        }
        self.watches_room = wanted;
        self.reactor.watch(&mut self.io, &self.readiness, wanted)
    }

    /// What a read brought. Less than there was room for means that there is no more by now.
    fn took(&mut self, count: usize, room: usize) {
        // Windows tells of new bytes only after a read that found none.
        if cfg!(unix) && count < room && count > 0 {
            self.readiness.exhausted(Direction::Read);
        }
    }

    /// There is no more for now. Ready at the end of a pause, when the socket is looked at again.
    fn poll_pause(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.pause.is_none() {
            if self.watches_room || !self.pacing.is_due(Instant::now()) {
                return self.readiness.poll(Direction::Read, context).map(Ok);
            }
            self.reactor.look_away(&mut self.io)?;
            self.pause = Some(Box::pin(self.reactor.sleep(PAUSE)));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
        }
        Poll::Ready(self.look_again())
    }

    fn look_again(&mut self) -> io::Result<()> {
        self.pause = None;
        self.readiness.doubt(Direction::Read);
        self.reactor.look_again(&mut self.io, &self.readiness)
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.reactor.remove(&mut self.io, &self.readiness);
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let room = buffer.remaining();
        loop {
            if this.readiness.poll(Direction::Read, context).is_pending() {
                ready!(this.poll_pause(context))?;
            }
            match this.io.read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    this.readiness.exhausted(Direction::Read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    buffer.advance(count);
                    this.took(count, room);
                    this.pacing.read(count);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, bytes.len(), |io| io.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        self.poll_write_with(context, length, |io| io.write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.io.shutdown(Shutdown::Write))
    }
}
