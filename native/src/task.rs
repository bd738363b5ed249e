//! The life of one exchange, on the reactor. Aborting the task closes what it holds.

use std::future::poll_fn;
use std::mem::take;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use tokio::sync::OwnedSemaphorePermit;

use crate::connections::{Connections, Wire};
use crate::failure::{Failure, Kind};
use crate::http1::{Http1, Outgoing};
use crate::mailbox::Mailbox;
use crate::origin::Origin;
use crate::sink::Sink;

/// What is sent, and where to.
pub struct Job {
    /// Where to.
    pub origin: Arc<Origin>,
    /// GET or POST.
    pub method: Method,
    /// The whole address.
    pub uri: Uri,
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

/// So often a connection may turn out to be closed before anything was sent on it.
const ATTEMPTS: usize = 5;

async fn exchange(
    mut job: Job,
    connections: &Arc<Connections>,
    mailbox: &Mailbox,
) -> Result<(), Failure> {
    let mut failure = Failure::new(Kind::HangUp, "closed before anything was sent");
    for _ in 0..ATTEMPTS {
        let (_permit, wire) = job.connect(connections).await?;
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
                if poll_fn(|context| Poll::Ready(http1.is_free(context))).await {
                    connections.keep(&job.origin, http1);
                }
                return Ok(());
            }
            Err(mut error) => {
                failure = Failure::from_hyper(error.error(), false);
                match error.take_message() {
                    Some(unsent) => job.headers = unsent.into_parts().0.headers,
                    None => break,
                }
            }
        }
    }
    Err(failure)
}

impl Job {
    /// A connection, and the right to use it.
    async fn connect(
        &self,
        connections: &Arc<Connections>,
    ) -> Result<(OwnedSemaphorePermit, Wire), Failure> {
        // No clock is set where there is nothing to wait for: setting it takes longer than the rest.
        if let Some(found) = connections.at_hand(&self.origin).await {
            return Ok(found);
        }
        let connecting = async {
            let permit = connections.permit().await?;
            Ok((permit, connections.wire(&self.origin).await?))
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
            *request.uri_mut() = self.uri.clone();
        } else if self.origin.is_forwarded() {
            self.authorize(request.headers_mut());
            *request.uri_mut() = self.uri.clone();
        } else {
            let path = self.uri.path_and_query().cloned();
            *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        }
        request
    }

    /// Tell the proxy that passes the request on who we are.
    fn authorize(&self, headers: &mut HeaderMap) {
        let authorization = self.origin.proxy.as_ref().map(|proxy| &proxy.authorization);
        if let Some(Some(authorization)) = authorization
            && let Ok(value) = authorization.parse()
        {
            headers.insert(PROXY_AUTHORIZATION, value);
        }
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
