//! The connections of one event loop: which are in use, which are kept, and whose turn it is.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::connect::{Connector, Opened};
use crate::executor::Task;
use crate::failure::{Failure, Kind};
use crate::http1::Http1;
use crate::http2::{Http2, Stream};
use crate::idle::Idle;
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
    /// Wakes the task that watches over the idle ones.
    caretaker: OnceLock<Waker>,
    /// Whether the caretaker has a clock set.
    is_watched: AtomicBool,
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
            caretaker: OnceLock::new(),
            is_watched: AtomicBool::new(false),
        }
    }

    /// What drives them.
    pub fn reactor(&self) -> &Arc<Reactor> {
        &self.connector.reactor
    }

    /// What `permit` and `wire` give, if that is there by now.
    pub fn at_hand(&self, origin: &Arc<Origin>) -> Option<(OwnedSemaphorePermit, Wire)> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        Some((permit, self.reuse(origin)?))
    }

    /// Wait in the queue for the right to use a connection.
    pub async fn permit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let permit = self.permits.clone().acquire_owned().await;
        permit.map_err(|_| Failure::new(Kind::Closed, "closed"))
    }

    /// A connection to this origin: one that is there, or else a new one.
    pub async fn wire(self: &Arc<Self>, origin: &Arc<Origin>) -> Result<Wire, Failure> {
        if let Some(wire) = self.reuse(origin) {
            return Ok(wire);
        }
        let Some(turn) = self.turn(origin) else {
            return self.open(origin, None).await;
        };
        let turn = turn.lock_owned().await;
        if let Some(wire) = self.reuse(origin) {
            return Ok(wire);
        }
        // Meanwhile it may have been found that nothing is shared there: then nobody waits for us.
        let turn = self.turn(origin).map(|_| turn);
        self.open(origin, turn).await
    }

    /// Keep a connection for the next request, if it is fit for one.
    pub fn keep(self: &Arc<Self>, origin: &Arc<Origin>, connection: Http1) {
        let caretaker = self.caretaker.get_or_init(|| {
            let timers = self.reactor().timers().clone();
            let work = take_care(Arc::downgrade(self), timers);
            Waker::from(self.reactor().spawn(work))
        });
        let Some(kept) = Idle::keep(connection, caretaker) else {
            return;
        };
        let mut hosts = locked(&self.hosts);
        if self.permits.is_closed() {
            return; // `close` was here, and does not come again
        }
        match hosts.get_mut(origin) {
            Some(host) => host.idle.push(kept),
            None => hosts.entry(origin.clone()).or_default().idle.push(kept),
        }
        if !self.is_watched.swap(true, Relaxed) {
            caretaker.wake_by_ref();
        }
    }

    /// Let go of those that the server has closed, and of those that were idle for too long. When one of
    /// the others will be, if there are any.
    fn tidy(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut hosts = locked(&self.hosts);
        let mut gone = Vec::new();
        for host in hosts.values_mut() {
            gone.extend(host.idle.extract_if(.., |idle| {
                idle.since + self.keep_alive <= now || idle.is_closed()
            }));
        }
        let oldest = hosts.values().filter_map(|host| host.idle.first()); // they are in order
        let next = oldest.map(|idle| idle.since + self.keep_alive).min();
        self.is_watched.store(next.is_some(), Relaxed);
        drop(hosts);
        drop(gone); // not while others have to wait
        next
    }

    /// Close those that nobody uses; those in use end with their exchanges.
    pub fn close(&self) {
        self.permits.close();
        let hosts = take(&mut *locked(&self.hosts));
        for host in hosts.into_values() {
            host.shared.iter().for_each(|(_, driver)| driver.abort());
        }
    }

    /// A connection that is there; the one that was used last, as the others may grow old and be closed.
    fn reuse(&self, origin: &Arc<Origin>) -> Option<Wire> {
        let mut hosts = locked(&self.hosts);
        let host = hosts.get_mut(origin)?;
        let mut shared = host.shared.iter();
        let found = shared.find_map(|(http2, _)| Some(Wire::Http2(http2.clone(), http2.stream()?)));
        found.or_else(|| Some(Wire::Http1(host.idle.pop()?.take())))
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
        drop(oldest); // not while others have to wait
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

/// Look after the idle ones: when the time of one is up, and when something has happened to one.
async fn take_care(connections: Weak<Connections>, timers: Arc<Timers>) {
    let mut alarm = None;
    poll_fn(move |context| {
        while let Some(connections) = connections.upgrade() {
            let Some(moment) = connections.tidy() else {
                drop(alarm.take());
                return Poll::Pending;
            };
            let alarm = alarm.insert(Box::pin(timers.sleep_until(moment)));
            ready!(alarm.as_mut().poll(context));
        }
        Poll::Ready(())
    })
    .await;
}
