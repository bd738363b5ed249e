//! One connection of HTTP/1.1, driven by whoever uses it: dropping it closes the socket at once.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::yield_now;

use crate::connect::AnyStream;
use crate::failure::{Failure, Kind};

/// A request with all of its body.
pub type Outgoing = Request<Full<Bytes>>;

/// The connection.
pub struct Http1 {
    sender: SendRequest<Full<Bytes>>,
    connection: Option<Box<Connection<TokioIo<AnyStream>, Full<Bytes>>>>,
}

impl Http1 {
    /// Over a stream on which nothing was said yet.
    pub async fn over(stream: AnyStream) -> Result<Self, Failure> {
        let mut builder = Builder::new();
        builder.allow_spaces_after_header_name_in_responses(true);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::new(Kind::Broken, error.to_string()))?;
        let connection = Some(Box::new(connection));
        Ok(Self { sender, connection })
    }

    /// Send a request, and wait for the head of its answer. What was not sent at all comes back.
    pub async fn send(
        &mut self,
        request: Outgoing,
    ) -> Result<Response<Incoming>, TrySendError<Outgoing>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        poll_fn(|context| {
            advance(connection, context);
            answer.as_mut().poll(context)
        })
        .await
    }

    /// Read and write what can be read and written by now.
    pub fn advance(&mut self, context: &mut Context<'_>) {
        advance(&mut self.connection, context);
    }

    /// Whether another request can be sent, now that the answer is over: is the request over, too?
    pub async fn is_free(&mut self) -> bool {
        self.turn().await;
        self.sender.is_ready()
    }

    /// Whether it is still open, after a look at what the socket has to say.
    pub async fn is_open(&mut self) -> bool {
        yield_now().await; // the runtime asks the system before it comes back here
        self.turn().await;
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Wait until the server closes it.
    pub async fn closed(&mut self) {
        if let Some(connection) = &mut self.connection {
            let _ = connection.await;
            self.connection = None;
        }
    }

    async fn turn(&mut self) {
        poll_fn(|context| {
            self.advance(context);
            Poll::Ready(())
        })
        .await;
    }
}

fn advance<C: Future + Unpin>(connection: &mut Option<C>, context: &mut Context<'_>) {
    if let Some(open) = connection
        && Pin::new(open).poll(context).is_ready()
    {
        // Why it ended is what the answer and its body say.
        *connection = None;
    }
}
