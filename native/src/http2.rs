//! One connection of HTTP/2, shared by many exchanges and driven by a task of its own.

use std::future::{Future, poll_fn};
use std::mem::take;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::rt::Executor;
use tokio::sync::{Notify, OwnedMutexGuard};

use crate::connect::AnyStream;
use crate::executor::Task;
use crate::failure::{Failure, Kind};
use crate::hyper_io::{HyperIo, HyperTimer};
use crate::locked;
use crate::reactor::Reactor;

/// Bytes that the server may send on one stream before somebody has read them.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams together: some that nobody reads must not hold up the others.
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
const LONGEST_HEAD: u32 = 256 * 1024;
/// What stands where the server is going to say how many streams it allows.
const UNKNOWN: usize = 65_537;
/// A connection in use on which nothing comes is asked so often whether anybody is there. Not oftener:
/// some servers take offence.
const PING: Duration = Duration::from_secs(60);
/// How long the answer to that may take.
const PATIENCE: Duration = Duration::from_secs(20);

type Driven = Connection<HyperIo, Full<Bytes>, Tasks>;

/// A connection that others use, too.
#[derive(Clone)]
pub struct Http2 {
    /// Sends requests.
    pub sender: SendRequest<Full<Bytes>>,
    load: Arc<Load>,
}

#[derive(Default)]
struct Load {
    streams: AtomicUsize,
    most: AtomicUsize,
    used: AtomicUsize,
}

/// A stream that counts as long as this lives.
pub struct Stream(Arc<Load>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

impl Http2 {
    /// Over a stream on which nothing was said yet, and what drives it, until it is closed or was
    /// without a request for this long. The turn of whoever connects ends when the server has said
    /// how many streams it allows; until then it is one.
    pub async fn over(
        stream: AnyStream,
        reactor: &Arc<Reactor>,
        keep_alive: Duration,
        turn: Option<OwnedMutexGuard<()>>,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), Failure> {
        let tasks = Tasks(Arc::new(Running {
            reactor: reactor.clone(),
            tasks: Mutex::default(),
            is_settled: AtomicBool::new(false),
            maybe: Notify::new(),
        }));
        let (sender, connection) = Builder::new(tasks.clone())
            .timer(HyperTimer(reactor.timers().clone()))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(LONGEST_HEAD)
            .initial_max_send_streams(UNKNOWN)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PATIENCE)
            .handshake(HyperIo(stream))
            .await
            .map_err(|error| Failure::new(Kind::Broken, error.to_string()))?;
        let load = Arc::new(Load::default());
        load.most.store(1, Relaxed);
        let driver = Driver {
            connection,
            load: load.clone(),
            turn,
            ending: Ending(tasks),
        };
        let driver = driver.drive(keep_alive);
        Ok((Self { sender, load }, driver))
    }

    /// A stream on it, if it is open and the server allows one more.
    pub fn stream(&self) -> Option<Stream> {
        if self.sender.is_closed()
            || self.load.streams.load(Relaxed) >= self.load.most.load(Relaxed)
        {
            return None;
        }
        self.load.streams.fetch_add(1, Relaxed);
        self.load.used.fetch_add(1, Relaxed);
        Some(Stream(self.load.clone()))
    }

    /// Whether both are the same connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.load, &other.load)
    }
}

/// What hyper has running for one connection.
#[derive(Clone)]
struct Tasks(Arc<Running>);

struct Running {
    reactor: Arc<Reactor>,
    tasks: Mutex<Vec<Arc<Task>>>,
    /// hyper does not tell when the server's settings come, which one of its tasks reads.
    is_settled: AtomicBool,
    maybe: Notify,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let running = Arc::downgrade(&self.0);
        let mut task = Box::pin(task);
        let watched = poll_fn(move |context| {
            let polled = task.as_mut().poll(context);
            let unsettled = running.upgrade();
            if let Some(running) = unsettled.filter(|it| !it.is_settled.load(Relaxed)) {
                running.maybe.notify_one();
            }
            polled
        });
        let mut tasks = locked(&self.0.tasks);
        if tasks.len() == tasks.capacity() {
            tasks.retain(|task| !task.is_over()); // before it grows
        }
        tasks.push(self.0.reactor.spawn(watched));
    }
}

/// Ends them when it is dropped: hyper would let them say goodbye first.
struct Ending(Tasks);

impl Drop for Ending {
    fn drop(&mut self) {
        for task in take(&mut *locked(&self.0.0.tasks)) {
            task.abort();
        }
    }
}

struct Driver {
    connection: Driven,
    load: Arc<Load>,
    turn: Option<OwnedMutexGuard<()>>,
    ending: Ending,
}

impl Driver {
    async fn drive(mut self, keep_alive: Duration) {
        let running = self.ending.0.0.clone();
        loop {
            let used = self.load.used.load(Relaxed);
            tokio::select! {
                () = poll_fn(|context| self.poll(context)) => return,
                () = running.maybe.notified(), if self.turn.is_some() => {}
                () = running.reactor.sleep(keep_alive) => {
                    let load = &self.load;
                    if load.streams.load(Relaxed) == 0 && load.used.load(Relaxed) == used {
                        return;
                    }
                }
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let driven = Pin::new(&mut self.connection).poll(context).map(drop);
        let most = self.connection.current_max_send_streams();
        if most != UNKNOWN {
            self.load.most.store(most, Relaxed); // the server may change its mind
            self.turn = None;
            self.ending.0.0.is_settled.store(true, Relaxed);
        }
        driven
    }
}
