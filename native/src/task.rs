//! The life of one exchange, on the reactor. Aborting the task closes what it holds.

use std::future::poll_fn;
use std::mem::take;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use tokio::sync::OwnedSemaphorePermit;

use crate::connections::{Connections, Wire};
use crate::failure::{Failure, Kind};
use crate::http1::{Http1, Outgoing};
use crate::mailbox::Mailbox;
use crate::outgoing::Address;
use crate::sink::Sink;

/// What is sent, and where to.
pub struct Job {
    /// Where to.
    pub address: Arc<Address>,
    /// GET or POST.
    pub method: Method,
    /// All of them but those that hang on the way it is sent.
    pub headers: HeaderMap,
    /// All of it.
    pub body: Bytes,
    /// How long it may take to have a connection.
    pub connect_timeout: Option<Duration>,
}

/// Send, and put what comes into the mailbox, to the end.
pub async fn run(job: Job, connections: Arc<Connections>, mailbox: &Mailbox) {
    let end = exchange(job, &connections, mailbox).await;
    mailbox.end(end);
}

/// So often a new connection may turn out to be closed before anything was sent on it.
const ATTEMPTS: usize = 5;

async fn exchange(
    mut job: Job,
    connections: &Arc<Connections>,
    mailbox: &Mailbox,
) -> Result<(), Failure> {
    let mut attempts = 0;
    loop {
        // One that is there is tried at once; connecting takes its time, and so much memory as not
        // to be part of every exchange.
        let (_permit, wire) = if let Some(found) = connections.at_hand(&job.address.origin) {
            found
        } else {
            attempts += 1;
            Box::pin(job.connect(connections)).await?
        };
        let mut http1 = match wire {
            Wire::Http2(http2, _stream) => {
                let answer = http2.sender.clone().send_request(job.request(true)).await;
                let answer = answer.map_err(|error| Failure::from_hyper(&error, false))?;
                return pour(answer, None, mailbox).await;
            }
            Wire::Http1(http1) => http1,
        };
        match http1.send(job.request(false)).await {
            Ok(answer) => {
                pour(answer, Some(&mut http1), mailbox).await?;
                connections.keep(&job.address.origin, http1);
                return Ok(());
            }
            Err(mut error) => match error.take_message() {
                Some(unsent) if attempts < ATTEMPTS => {
                    job.headers = unsent.into_parts().0.headers;
                }
                _ => return Err(Failure::from_hyper(error.error(), false)),
            },
        }
    }
}

impl Job {
    /// A connection, and the right to use it, when both are to be had.
    async fn connect(
        &self,
        connections: &Arc<Connections>,
    ) -> Result<(OwnedSemaphorePermit, Wire), Failure> {
        let connecting = async {
            let permit = connections.permit().await?;
            Ok((permit, connections.wire(&self.address.origin).await?))
        };
        let Some(most) = self.connect_timeout else {
            return connecting.await;
        };
        tokio::select! {
            biased;
            connected = connecting => connected,
            () = connections.reactor().sleep(most) => Err(Failure::new(Kind::Timeout, "too late")),
        }
    }

    /// The request as it is sent; the headers go with it.
    fn request(&mut self, http2: bool) -> Outgoing {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = take(&mut self.headers);
        if http2 {
            request.headers_mut().remove(HOST); // is in the address
            *request.uri_mut() = self.address.uri.clone();
        } else {
            *request.uri_mut() = self.address.line.clone();
        }
        request
    }
}

/// Put an answer into the mailbox, all but its end. Without a wire somebody else drives the connection.
async fn pour(
    answer: Response<Incoming>,
    mut wire: Option<&mut Http1>,
    mailbox: &Mailbox,
) -> Result<(), Failure> {
    let (head, mut body) = answer.into_parts();
    let mut sink = Sink::new(mailbox, &head.headers);
    mailbox.put_head(head);
    while !poll_fn(|context| gather(&mut body, &mut wire, &mut sink, context)).await? {
        while !sink.make_room().await? {}
    }
    sink.finish()
}

/// Take all that can be had by now, and tell the reader. Ready with whether the body is over when it
/// is, or when the mailbox is full.
fn gather(
    body: &mut Incoming,
    wire: &mut Option<&mut Http1>,
    sink: &mut Sink<'_>,
    context: &mut Context<'_>,
) -> Poll<Result<bool, Failure>> {
    let mut looked = wire.is_none();
    loop {
        match Pin::new(&mut *body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                looked = wire.is_none();
                if let Ok(data) = frame.into_data()
                    && !sink.take(data)?
                {
                    return Poll::Ready(Ok(false));
                }
            }
            Poll::Ready(Some(Err(error))) => {
                sink.hold();
                return Poll::Ready(Err(Failure::from_hyper(&error, true)));
            }
            Poll::Ready(None) => return Poll::Ready(Ok(true)),
            Poll::Pending if looked => {
                // If that was too much, what comes next stays in the socket until there is room.
                return if sink.flush() {
                    Poll::Pending
                } else {
                    Poll::Ready(Ok(false))
                };
            }
            Poll::Pending => {
                looked = true;
                if let Some(wire) = wire {
                    let _ = wire.advance(context); // the body says what became of it
                }
            }
        }
    }
}
