//! One connection of HTTP/1.1, driven by whoever uses it: dropping it closes the socket at once.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};

use crate::connect::AnyStream;
use crate::failure::{Failure, Kind};
use crate::hyper_io::HyperIo;
use crate::readiness::{Direction, Readiness};

/// A request with all of its body.
pub type Outgoing = Request<Full<Bytes>>;

/// The connection.
pub struct Http1 {
    sender: SendRequest<Full<Bytes>>,
    connection: Option<Box<Connection<HyperIo, Full<Bytes>>>>,
    readiness: Arc<Readiness>,
}

impl Http1 {
    /// Over a stream on which nothing was said yet, and what is known of its socket.
    pub async fn over(stream: AnyStream, readiness: Arc<Readiness>) -> Result<Self, Failure> {
        let mut builder = Builder::new();
        builder.allow_spaces_after_header_name_in_responses(true);
        let (sender, connection) = builder
            .handshake(HyperIo(stream))
            .await
            .map_err(|error| Failure::new(Kind::Broken, error.to_string()))?;
        let connection = Some(Box::new(connection));
        Ok(Self {
            sender,
            connection,
            readiness,
        })
    }

    /// Send a request, and wait for the head of its answer. What was not sent at all comes back: the
    /// socket is looked at first, as the server may have closed it by now.
    pub async fn send(
        &mut self,
        request: Outgoing,
    ) -> Result<Response<Incoming>, TrySendError<Outgoing>> {
        self.readiness.doubt(Direction::Read);
        let mut answer = pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        poll_fn(|context| {
            let _ = advance(connection, context); // the answer says what became of it
            answer.as_mut().poll(context)
        })
        .await
    }

    /// Read and write what can be read and written by now. Ready when it is closed.
    pub fn advance(&mut self, context: &mut Context<'_>) -> Poll<()> {
        advance(&mut self.connection, context)
    }

    /// Whether another request can be sent, now that the answer is over: is the request over, too?
    pub fn is_free(&mut self, context: &mut Context<'_>) -> bool {
        self.advance(context).is_pending() && self.sender.is_ready()
    }
}

fn advance<C: Future + Unpin>(connection: &mut Option<C>, context: &mut Context<'_>) -> Poll<()> {
    let Some(open) = connection else {
        return Poll::Ready(());
    };
    if Pin::new(open).poll(context).is_pending() {
        return Poll::Pending;
    }
    // Why it ended is what the answer and its body say.
    *connection = None;
    Poll::Ready(())
}
