//! What waits for a moment: the event loop is told of the earliest one, and wakes those that are due.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::locked;

/// As good as never.
const AGES: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Who is to be woken when. The number tells apart those that wait for the same moment.
#[derive(Default)]
pub struct Timers(Mutex<(u64, BTreeMap<Moment, Waker>)>);

type Moment = (Instant, u64);

impl Timers {
    /// What is over when this time has passed.
    pub fn sleep(self: &Arc<Self>, time: Duration) -> Sleep {
        let now = Instant::now();
        self.sleep_until(now.checked_add(time).unwrap_or(now + AGES))
    }

    /// What is over at this moment.
    pub fn sleep_until(self: &Arc<Self>, due: Instant) -> Sleep {
        Sleep {
            timers: self.clone(),
            due,
            number: None,
        }
    }

    /// The moment for which somebody waits first.
    pub fn earliest(&self) -> Option<Instant> {
        locked(&self.0).1.first_key_value().map(|(key, _)| key.0)
    }

    /// Wake all whose moment has come.
    pub fn wake(&self, now: Instant) {
        while let Some(waker) = self.pop(now) {
            waker.wake();
        }
    }

    fn pop(&self, now: Instant) -> Option<Waker> {
        let entry_of = |all: &mut BTreeMap<Moment, Waker>| {
            let first = all.first_entry()?;
            (first.key().0 <= now).then(|| first.remove())
        };
        entry_of(&mut locked(&self.0).1)
    }
}

/// Waits for its moment once it is polled.
pub struct Sleep {
    timers: Arc<Timers>,
    due: Instant,
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.due {
            return Poll::Ready(());
        }
        let timers = self.timers.clone();
        let (latest, all) = &mut *locked(&timers.0);
        let number = *self.number.get_or_insert_with(|| {
            *latest += 1;
            *latest
        });
        all.insert((self.due, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = locked(&self.timers.0).1.remove(&(self.due, number));
            drop(waker); // the last of a task, maybe, whose end takes its time
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn who_waits_is_woken_when_the_moment_has_come_and_not_before() {
        let timers = Arc::new(Timers::default());
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        let now = Instant::now();
        let due = now + Duration::from_secs(60);
        let mut sleeps: Vec<_> = [due, due, due + PAUSE]
            .into_iter()
            .map(|due| Box::pin(timers.sleep_until(due)))
            .collect();
        assert_eq!(timers.earliest(), None);
        for sleep in &mut sleeps {
            assert!(sleep.as_mut().poll(&mut context).is_pending());
            assert!(sleep.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(timers.earliest(), Some(due));
        timers.wake(due.checked_sub(PAUSE).expect("it is long after"));
        assert_eq!(count.0.load(SeqCst), 0);
        timers.wake(due);
        assert_eq!(count.0.load(SeqCst), 2);
        assert_eq!(timers.earliest(), Some(due + PAUSE));
        drop(sleeps);
        assert_eq!(timers.earliest(), None);
    }

    #[test]
    fn a_time_beyond_all_clocks_is_never() {
        let timers = Arc::new(Timers::default());
        let mut context = Context::from_waker(Waker::noop());
        let mut sleep = Box::pin(timers.sleep(Duration::MAX));
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        let mut over = Box::pin(timers.sleep(Duration::ZERO));
        assert!(over.as_mut().poll(&mut context).is_ready());
    }

    const PAUSE: Duration = Duration::from_millis(1);
}
