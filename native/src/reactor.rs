//! The network of one event loop: sockets, timers and tasks, driven by the loop's own thread.
//!
//! There is no thread of ours. The loop watches one descriptor, behind which the system gathers what
//! happens on all sockets, and calls `turn` when there is something, or when a timer is due. Nothing in
//! here waits, so Python's lock may be held all the time. The few things that can't but wait, asking for
//! a name's addresses and reading the trusted certificates, are done in short-lived threads, which never
//! ask for that lock.

use std::future::Future;
use std::io;
use std::process;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use slab::Slab;
use tokio::sync::{Semaphore, oneshot};

use crate::executor::{Executor, Task};
use crate::failure::{Failure, Kind};
use crate::locked;
use crate::readiness::Readiness;
use crate::timers::{Sleep, Timers};

/// What happened on so many sockets is asked for at once.
const EVENTS: usize = 256;
/// So many threads may wait for the system's resolver at the same time.
const HELPERS: usize = 16;
/// Not a socket: somebody has woken a task from outside.
const ALARM: Token = Token(usize::MAX);

/// The network.
pub struct Reactor {
    eyes: Mutex<(Poll, Events)>,
    registry: Registry,
    sockets: Mutex<Slab<Arc<Readiness>>>,
    executor: Arc<Executor>,
    timers: Arc<Timers>,
    helpers: Arc<Semaphore>,
    process: u32,
}

impl Reactor {
    /// One on which nothing happens yet.
    pub fn new() -> io::Result<Arc<Self>> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Waker::new(&registry, ALARM)?;
        Ok(Arc::new(Self {
            eyes: Mutex::new((poll, Events::with_capacity(EVENTS))),
            registry,
            sockets: Mutex::default(),
            executor: Executor::new(move || drop(waker.wake())),
            timers: Arc::default(),
            helpers: Arc::new(Semaphore::new(HELPERS)),
            process: process::id(),
        }))
    }

    /// What the event loop watches.
    #[cfg(unix)]
    pub fn fileno(&self) -> i32 {
        use std::os::fd::AsRawFd;
        self.registry.as_raw_fd()
    }

    /// See what has happened, and run whom it concerns.
    pub fn turn(&self) {
        self.executor.run(|| {
            self.timers.wake(Instant::now());
            self.look();
        });
    }

    /// Run the tasks that are ready, those just spawned above all.
    pub fn run(&self) {
        self.executor.run(|| ());
    }

    /// Begin a task. It is polled for the first time when tasks run next.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Arc<Task> {
        self.executor.spawn(work)
    }

    /// What is over when this time has passed.
    pub fn sleep(&self, time: Duration) -> Sleep {
        self.timers.sleep(time)
    }

    /// The timers themselves.
    pub fn timers(&self) -> &Arc<Timers> {
        &self.timers
    }

    /// Do what waits in a thread of its own. Who gives up leaves the thread to itself.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = self.helpers.clone().acquire_owned().await;
        let (tell, told) = oneshot::channel();
        thread::Builder::new()
            .name("polyvox-native".to_owned())
            .spawn(move || {
                let _permit = permit;
                let _ = tell.send(work()); // nobody may want to know any more
            })
            .map_err(|error| Failure::new(Kind::Broken, error.to_string()))?;
        told.await
            .map_err(|_| Failure::new(Kind::Panic, "polyvox-native panicked"))
    }

    /// End all tasks, which closes all sockets. It stays closed.
    pub fn close(&self) {
        self.executor.close();
    }

    /// Have the loop call `turn`, from whatever thread.
    pub fn call(&self) {
        self.executor.alarm();
    }

    // ------------------------------------------------------------------------- for sockets

    /// Watch this socket, in both directions.
    pub fn add(&self, socket: &mut impl Source) -> io::Result<Arc<Readiness>> {
        let mut sockets = locked(&self.sockets);
        let entry = sockets.vacant_entry();
        let readiness = Arc::new(Readiness::new(entry.key()));
        entry.insert(readiness.clone());
        drop(sockets);
        let both = Interest::READABLE | Interest::WRITABLE;
        self.registry
            .register(socket, Token(readiness.key()), both)
            .inspect_err(|_| self.forget(&readiness))?;
        Ok(readiness)
    }

    /// Watch it no longer. In a forked process the parent does, and nothing is done.
    pub fn remove(&self, socket: &mut impl Source, readiness: &Readiness) {
        if self.process == process::id() {
            let _ = self.registry.deregister(socket);
        }
        self.forget(readiness);
    }

    /// Look away for a while: what comes stays where it is.
    pub fn look_away(&self, socket: &mut impl Source) -> io::Result<()> {
        self.registry.deregister(socket)
    }

    /// Look at it again, for what it brings; what came meanwhile counts as new.
    pub fn look_again(&self, socket: &mut impl Source, readiness: &Readiness) -> io::Result<()> {
        let token = Token(readiness.key());
        self.registry.register(socket, token, Interest::READABLE)
    }

    /// Look at it for what it brings, and for room to write to only where that is wanted: otherwise
    /// the system would call us for a socket from which all was read before it could tell.
    pub fn watch(
        &self,
        socket: &mut impl Source,
        readiness: &Readiness,
        writes: bool,
    ) -> io::Result<()> {
        let mut interest = Interest::READABLE;
        if writes {
            interest |= Interest::WRITABLE;
        }
        self.registry
            .reregister(socket, Token(readiness.key()), interest)
    }

    fn forget(&self, readiness: &Readiness) {
        locked(&self.sockets).try_remove(readiness.key());
    }

    fn look(&self) {
        let (poll, events) = &mut *locked(&self.eyes);
        if poll.poll(events, Some(Duration::ZERO)).is_err() {
            return; // interrupted: the loop calls again
        }
        let sockets = locked(&self.sockets);
        for event in &*events {
            if let Some(readiness) = sockets.get(event.token().0) {
                readiness.note(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::tcp::TcpStream;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Drive it, as the event loop does, until this was told.
    fn told<T>(reactor: &Reactor, told: &mpsc::Receiver<T>) -> T {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            reactor.turn();
            if let Ok(value) = told.try_recv() {
                return value;
            }
            thread::yield_now();
        }
        panic!("nobody tells");
    }

    struct Held(mpsc::Sender<()>);

    impl Drop for Held {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    #[test]
    fn who_waits_for_a_thread_is_told_what_it_found() {
        let reactor = Reactor::new().expect("a reactor");
        let (tell, found) = mpsc::channel();
        let clone = reactor.clone();
        reactor.spawn(async move {
            let _ = tell.send(clone.aside(|| 7).await.ok());
        });
        assert_eq!(told(&reactor, &found), Some(7));
        reactor.close();
    }

    #[test]
    fn giving_up_does_not_wait_for_a_thread_that_hangs() {
        let reactor = Reactor::new().expect("a reactor");
        let (begin, has_begun) = mpsc::channel();
        let (release, hangs) = mpsc::channel::<()>();
        let (sender, gone) = mpsc::channel();
        let (held, clone) = (Held(sender), reactor.clone());
        let task = reactor.spawn(async move {
            let _held = held;
            let hang = move || {
                let _ = begin.send(());
                let _ = hangs.recv();
            };
            let _ = clone.aside(hang).await;
        });
        told(&reactor, &has_begun);
        assert!(gone.try_recv().is_err());
        task.abort();
        assert_eq!(gone.try_recv(), Ok(()));
        drop(release);
    }

    #[test]
    fn a_thread_that_panics_is_an_error() {
        let reactor = Reactor::new().expect("a reactor");
        let (tell, found) = mpsc::channel();
        let clone = reactor.clone();
        reactor.spawn(async move {
            let failure = clone.aside(|| panic!("as is wanted here")).await;
            let _ = tell.send(failure.map_err(|failure| failure.kind));
        });
        assert_eq!(told(&reactor, &found), Err::<(), _>(Kind::Panic));
        reactor.close();
    }

    #[test]
    fn what_is_written_when_nobody_reads_waits_for_room_and_arrives() {
        const LENGTH: usize = 8 * 1024 * 1024;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let reactor = Reactor::new().expect("a reactor");
        let (tell, done) = mpsc::channel();
        let clone = reactor.clone();
        reactor.spawn(async move {
            let mut stream = TcpStream::connect(address, clone).await.expect("a stream");
            stream.write_all(&vec![7; LENGTH]).await.expect("written");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("read");
            let _ = tell.send(answer);
        });
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut seen = vec![0; LENGTH];
            stream.read_exact(&mut seen).expect("all of it");
            stream.write_all(b"thanks").expect("written");
            seen.iter().all(|byte| *byte == 7)
        });
        assert_eq!(told(&reactor, &done), b"thanks");
        assert!(server.join().expect("no panic"));
        reactor.close();
    }

    #[test]
    fn many_small_pieces_in_a_row_arrive_whole() {
        const PIECES: usize = 20_000;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let reactor = Reactor::new().expect("a reactor");
        let (tell, done) = mpsc::channel();
        let clone = reactor.clone();
        reactor.spawn(async move {
            let mut stream = TcpStream::connect(address, clone).await.expect("a stream");
            let mut total = 0;
            let mut buffer = vec![0; 256 * 1024];
            loop {
                let count = stream.read(&mut buffer).await.expect("read");
                if count == 0 {
                    break;
                }
                total += count;
            }
            let _ = tell.send(total);
        });
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            for _ in 0..PIECES {
                stream.write_all(&[7; 100]).expect("written");
            }
        });
        assert_eq!(told(&reactor, &done), PIECES * 100);
        server.join().expect("no panic");
        reactor.close();
    }
}
