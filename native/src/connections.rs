//! The connections of one event loop: which are in use, which are kept, and whose turn it is.

use std::collections::HashMap;
use std::future::poll_fn;
use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::connect::{Connector, Opened};
use crate::executor::Task;
use crate::failure::{Failure, Kind};
use crate::http1::Http1;
use crate::http2::{Http2, Stream};
use crate::locked;
use crate::origin::Origin;
use crate::reactor::Reactor;
use crate::timers::Timers;

/// A connection that a request can be sent on.
pub enum Wire {
    /// Ours alone.
    Http1(Http1),
    /// A stream on a connection that others use, too.
    Http2(Http2, Stream),
}

/// The connections.
pub struct Connections {
    connector: Connector,
    keep_alive: Duration,
    most: usize,
    permits: Arc<Semaphore>,
    hosts: Mutex<HashMap<Arc<Origin>, Host>>,
    is_swept: AtomicBool,
}

/// What is known about, and open to, one origin.
#[derive(Default)]
struct Host {
    idle: Vec<Idle>,
    shared: Vec<(Http2, Arc<Task>)>,
    speaks_http1: bool,
    /// Whose turn it is to connect where connections may be shared: others wait, and share it.
    turn: Arc<Turn<()>>,
}

/// A connection that a task watches over until somebody takes it, or the server closes it.
struct Idle {
    since: Instant,
    watcher: Arc<Task>,
    held: Arc<Mutex<Option<Http1>>>,
}

impl Connections {
    /// None yet; `most` may be in use or kept at the same time, 0 for as many as there are.
    pub fn new(connector: Connector, keep_alive: Duration, most: usize) -> Self {
        let unbounded = most == 0 || most > Semaphore::MAX_PERMITS;
        let most = if unbounded {
            Semaphore::MAX_PERMITS
        } else {
            most
        };
        Self {
            connector,
            keep_alive,
            most,
            permits: Arc::new(Semaphore::new(most)),
            hosts: Mutex::default(),
            is_swept: AtomicBool::new(false),
        }
    }

    /// What drives them.
    pub fn reactor(&self) -> &Arc<Reactor> {
        &self.connector.reactor
    }

    /// What `permit` and `wire` give, if that is there by now.
    pub async fn at_hand(&self, origin: &Arc<Origin>) -> Option<(OwnedSemaphorePermit, Wire)> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        Some((permit, self.reuse(origin).await?))
    }

    /// Wait in the queue for the right to use a connection.
    pub async fn permit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let permit = self.permits.clone().acquire_owned().await;
        permit.map_err(|_| Failure::new(Kind::Closed, "closed"))
    }

    /// A connection to this origin: one that is there, or else a new one.
    pub async fn wire(self: &Arc<Self>, origin: &Arc<Origin>) -> Result<Wire, Failure> {
        if let Some(wire) = self.reuse(origin).await {
            return Ok(wire);
        }
        let Some(turn) = self.turn(origin) else {
            return self.open(origin, None).await;
        };
        let turn = turn.lock_owned().await;
        if let Some(wire) = self.reuse(origin).await {
            return Ok(wire);
        }
        // Meanwhile it may have been found that nothing is shared there: then nobody waits for us.
        let turn = self.turn(origin).map(|_| turn);
        self.open(origin, turn).await
    }

    /// Keep a connection for the next request.
    pub fn keep(self: &Arc<Self>, origin: &Arc<Origin>, connection: Http1) {
        let held = Arc::new(Mutex::new(Some(connection)));
        let shared = held.clone();
        let watcher = self
            .reactor()
            .spawn(poll_fn(move |context| watch(&shared, context)));
        let mut hosts = locked(&self.hosts);
        let idle = &mut hosts.entry(origin.clone()).or_default().idle;
        idle.retain(|idle| !idle.watcher.is_over());
        idle.push(Idle {
            since: Instant::now(),
            watcher,
            held,
        });
        if !self.is_swept.swap(true, Relaxed) {
            let timers = self.reactor().timers().clone();
            self.reactor()
                .spawn(sweep(Arc::downgrade(self), timers, self.keep_alive));
        }
    }

    /// Close those that were idle for too long. When to do it again; None if there are none left.
    fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut hosts = locked(&self.hosts);
        let mut expired = Vec::new();
        for host in hosts.values_mut() {
            let is_old = |idle: &Idle| idle.since + self.keep_alive <= now;
            let count = host.idle.partition_point(is_old); // they are in order
            expired.extend(host.idle.drain(..count));
        }
        let oldest = hosts.values().filter_map(|host| host.idle.first());
        let next = oldest.map(|idle| idle.since + self.keep_alive).min();
        self.is_swept.store(next.is_some(), Relaxed);
        drop(hosts);
        for idle in &expired {
            idle.watcher.abort();
        }
        next
    }

    /// Close those that nobody uses; those in use end with their exchanges.
    pub fn close(&self) {
        self.permits.close();
        let hosts = take(&mut *locked(&self.hosts));
        for host in hosts.into_values() {
            host.idle.iter().for_each(|idle| idle.watcher.abort());
            host.shared.iter().for_each(|(_, driver)| driver.abort());
        }
    }

    async fn reuse(&self, origin: &Arc<Origin>) -> Option<Wire> {
        if let Some(wire) = self.share(origin) {
            return Some(wire);
        }
        while let Some(idle) = self.pop(origin) {
            idle.watcher.abort();
            let taken = locked(&idle.held).take();
            if let Some(mut connection) = taken
                && poll_fn(|context| Poll::Ready(connection.is_open(context))).await
            {
                return Some(Wire::Http1(connection));
            }
        }
        None
    }

    fn share(&self, origin: &Arc<Origin>) -> Option<Wire> {
        let hosts = locked(&self.hosts);
        let mut shared = hosts.get(origin)?.shared.iter();
        shared.find_map(|(http2, _)| Some(Wire::Http2(http2.clone(), http2.stream()?)))
    }

    /// The one that was used last: the others may grow old and be closed.
    fn pop(&self, origin: &Arc<Origin>) -> Option<Idle> {
        locked(&self.hosts).get_mut(origin)?.idle.pop()
    }

    /// Whose turn it is to connect; None if that does not matter.
    fn turn(&self, origin: &Arc<Origin>) -> Option<Arc<Turn<()>>> {
        if !origin.tls {
            return None;
        }
        let mut hosts = locked(&self.hosts);
        let host = hosts.entry(origin.clone()).or_default();
        (!host.speaks_http1).then(|| host.turn.clone())
    }

    async fn open(
        self: &Arc<Self>,
        origin: &Arc<Origin>,
        turn: Option<OwnedMutexGuard<()>>,
    ) -> Result<Wire, Failure> {
        self.make_room();
        let Opened {
            stream,
            readiness,
            speaks_http2,
        } = self.connector.open(origin).await?;
        if !speaks_http2 {
            if origin.tls {
                let mut hosts = locked(&self.hosts);
                hosts.entry(origin.clone()).or_default().speaks_http1 = true;
            }
            return Http1::over(stream, readiness).await.map(Wire::Http1);
        }
        let (http2, driver) = Http2::over(stream, self.reactor(), self.keep_alive, turn).await?;
        let ended = Ended(Arc::downgrade(self), origin.clone(), http2.clone());
        let stream = http2.stream();
        let stream = stream.ok_or_else(|| Failure::new(Kind::Broken, "no stream is allowed"))?;
        let mut hosts = locked(&self.hosts);
        let driver = self.reactor().spawn(async move {
            let _ended = ended;
            driver.await;
        });
        let host = hosts.entry(origin.clone()).or_default();
        host.shared.push((http2.clone(), driver));
        Ok(Wire::Http2(http2, stream))
    }

    /// Close the connection that was idle for longest, if a new one would be one too many.
    fn make_room(&self) {
        let mut hosts = locked(&self.hosts);
        let idle: usize = hosts.values().map(|host| host.idle.len()).sum();
        let in_use = self.most - self.permits.available_permits();
        if idle == 0 || in_use + idle <= self.most {
            return;
        }
        let oldest = hosts
            .values_mut()
            .filter(|host| !host.idle.is_empty())
            .min_by_key(|host| host.idle[0].since)
            .map(|host| host.idle.remove(0));
        drop(hosts);
        oldest.inspect(|idle| idle.watcher.abort());
    }
}

/// Takes a shared connection off the list when its task is over, however it ends.
struct Ended(Weak<Connections>, Arc<Origin>, Http2);

impl Drop for Ended {
    fn drop(&mut self) {
        let Some(connections) = self.0.upgrade() else {
            return;
        };
        let mut hosts = locked(&connections.hosts);
        if let Some(host) = hosts.get_mut(&self.1) {
            host.shared.retain(|(http2, _)| !http2.is(&self.2));
        }
    }
}

/// Close what is too old, as long as there is something: one clock for them all.
async fn sweep(connections: Weak<Connections>, timers: Arc<Timers>, keep_alive: Duration) {
    timers.sleep(keep_alive).await;
    while let Some(next) = connections.upgrade().and_then(|open| open.expire()) {
        timers.sleep_until(next).await;
    }
}

/// Look after a connection until it was taken, or closed by the server.
fn watch(held: &Mutex<Option<Http1>>, context: &mut Context<'_>) -> Poll<()> {
    let mut held = locked(held);
    if let Some(connection) = &mut *held
        && connection.advance(context).is_pending()
    {
        return Poll::Pending;
    }
    *held = None;
    Poll::Ready(())
}
