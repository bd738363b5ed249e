//! A connection that nobody uses at the moment, and how its caretaker hears of what happens to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::task::{Context, Wake, Waker};
use std::time::Instant;

use crate::http1::Http1;

/// The connection.
pub struct Idle {
    /// When it was used last.
    pub since: Instant,
    connection: Http1,
    bell: Arc<Bell>,
}

impl Idle {
    /// Keep this one for the next request, if it is fit for one: is the last one over for both sides?
    pub fn keep(mut connection: Http1, caretaker: &Waker) -> Option<Self> {
        let bell = Arc::new(Bell {
            caretaker: caretaker.clone(),
            is_set: AtomicBool::new(true),
        });
        let waker = Waker::from(bell.clone());
        let is_free = connection.is_free(&mut Context::from_waker(&waker));
        is_free.then(|| Self {
            since: Instant::now(),
            connection,
            bell,
        })
    }

    /// Whether the server has closed it. A connection to which nothing has happened is not looked at.
    pub fn is_closed(&mut self) -> bool {
        if self.bell.is_set.swap(true, AcqRel) {
            return false;
        }
        let waker = Waker::from(self.bell.clone());
        let mut context = Context::from_waker(&waker);
        self.connection.advance(&mut context).is_ready()
    }

    /// Use it: from now on what happens to it is no longer the caretaker's business.
    pub fn take(self) -> Http1 {
        self.bell.is_set.store(false, Release);
        self.connection
    }
}

/// Rings once, until it is set again: a request that is put on the connection would ring it, too.
struct Bell {
    caretaker: Waker,
    is_set: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_set.swap(false, AcqRel) {
            self.caretaker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn a_bell_rings_once_until_it_is_set_again() {
        let count = Arc::new(Count::default());
        let bell = Arc::new(Bell {
            caretaker: Waker::from(count.clone()),
            is_set: AtomicBool::new(true),
        });
        let waker = Waker::from(bell.clone());
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(count.0.load(SeqCst), 1);
        bell.is_set.store(true, SeqCst);
        waker.wake();
        assert_eq!(count.0.load(SeqCst), 2);
    }
}
