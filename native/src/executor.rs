//! Runs the tasks of one event loop, on the loop's own thread and only when it is asked to.
//!
//! A task is polled when it is new and when it was woken, by whatever thread. Who aborts it drops what
//! it holds at once. No lock is held while a task is polled or dropped.

use std::collections::VecDeque;
use std::future::Future;
use std::mem::replace;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use slab::Slab;

use crate::locked;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The tasks, and which of them are to be polled.
pub struct Executor {
    alarm: Box<dyn Fn() + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tasks: Slab<Arc<Task>>,
    ready: VecDeque<Arc<Task>>,
    is_running: bool,
    is_closed: bool,
}

impl Executor {
    /// `alarm` is called when a task is woken while nobody runs them.
    pub fn new(alarm: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        let alarm = Box::new(alarm);
        let state = Mutex::default();
        Arc::new(Self { alarm, state })
    }

    /// Begin a task. It is polled when tasks run next, which whoever spawns it sees to.
    pub fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) -> Arc<Task> {
        let mut state = locked(&self.state);
        let entry = state.tasks.vacant_entry();
        let task = Arc::new(Task {
            key: entry.key(),
            executor: self.clone(),
            is_queued: AtomicBool::new(true),
            slot: Mutex::new(Slot::Waits(Box::pin(work))),
        });
        entry.insert(task.clone());
        if !state.is_closed {
            state.ready.push_back(task.clone());
            return task;
        }
        drop(state);
        task.abort();
        task
    }

    /// Do this, which may wake tasks, and run them until none is ready. Within a run nothing is done.
    pub fn run(&self, before: impl FnOnce()) {
        if replace(&mut locked(&self.state).is_running, true) {
            return;
        }
        before();
        while let Some(task) = self.next() {
            task.poll();
        }
    }

    /// Abort all tasks, and each that is spawned from now on.
    pub fn close(&self) {
        let mut state = locked(&self.state);
        state.is_closed = true;
        state.ready.clear();
        let tasks: Vec<_> = state.tasks.iter().map(|(_, task)| task.clone()).collect();
        drop(state);
        for task in tasks {
            task.abort();
        }
    }

    /// The next one. When there is none, a task that is woken from now on needs an alarm.
    fn next(&self) -> Option<Arc<Task>> {
        let mut state = locked(&self.state);
        let task = state.ready.pop_front();
        state.is_running = task.is_some();
        task
    }

    /// Have somebody run the tasks.
    pub fn alarm(&self) {
        (self.alarm)();
    }

    fn push(&self, task: Arc<Task>) {
        let mut state = locked(&self.state);
        if state.is_closed {
            return;
        }
        state.ready.push_back(task);
        let is_running = state.is_running;
        drop(state);
        if !is_running {
            self.alarm();
        }
    }
}

/// A piece of work, from when it is spawned until it is over or aborted.
pub struct Task {
    key: usize,
    executor: Arc<Executor>,
    is_queued: AtomicBool,
    slot: Mutex<Slot>,
}

enum Slot {
    Waits(Work),
    Runs,
    /// Aborted meanwhile: to be dropped as soon as it returns.
    RunsInVain,
    Over,
}

impl Task {
    /// Drop the work, and with it what it holds; at once, unless it runs at this moment.
    pub fn abort(&self) {
        let mut slot = locked(&self.slot);
        let before = replace(&mut *slot, Slot::Over);
        if let Slot::Runs | Slot::RunsInVain = before {
            *slot = Slot::RunsInVain;
        }
        drop(slot);
        if let Slot::Waits(work) = before {
            self.end(work);
        }
    }

    /// Whether there is nothing left of it.
    pub fn is_over(&self) -> bool {
        matches!(*locked(&self.slot), Slot::Over)
    }

    fn poll(self: Arc<Self>) {
        self.is_queued.store(false, Release);
        let mut slot = locked(&self.slot);
        if !matches!(*slot, Slot::Waits(_)) {
            return;
        }
        let Slot::Waits(mut work) = replace(&mut *slot, Slot::Runs) else {
            return;
        };
        drop(slot);
        let waker = Waker::from(self.clone());
        let mut context = Context::from_waker(&waker);
        // A panic ends its own task only. What the task held tells of it when it is dropped.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut context)));
        let mut slot = locked(&self.slot);
        if matches!((&polled, &*slot), (Ok(Poll::Pending), Slot::Runs)) {
            *slot = Slot::Waits(work);
            return;
        }
        *slot = Slot::Over;
        drop(slot);
        self.end(work);
    }

    fn end(&self, work: Work) {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(work)));
        locked(&self.executor.state).tasks.try_remove(self.key);
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, AcqRel) {
            self.executor.clone().push(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, AcqRel) {
            self.executor.push(self.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Tells what becomes of the task that holds it.
    struct Held(mpsc::Sender<bool>);

    impl Drop for Held {
        fn drop(&mut self) {
            let _ = self.0.send(thread::panicking());
        }
    }

    fn counted() -> (Arc<Executor>, Arc<AtomicUsize>) {
        let alarms = Arc::new(AtomicUsize::new(0));
        let counter = alarms.clone();
        let executor = Executor::new(move || {
            counter.fetch_add(1, SeqCst);
        });
        (executor, alarms)
    }

    #[test]
    fn a_panic_ends_its_own_task_and_what_the_task_held_can_tell() {
        let (executor, _) = counted();
        let (sender, ends) = mpsc::channel();
        let (hold, other) = (Held(sender.clone()), Held(sender));
        let broken = executor.spawn(async move {
            let _hold = hold;
            panic!("as is wanted here");
        });
        executor.spawn(async move { drop(other) });
        executor.run(|| ());
        assert_eq!(ends.iter().collect::<Vec<_>>(), [true, false]);
        assert!(broken.is_over());
    }

    #[test]
    fn aborting_drops_what_a_task_holds_before_it_returns() {
        let (executor, _) = counted();
        let (sender, ends) = mpsc::channel();
        let hold = Held(sender);
        let task = executor.spawn(async move {
            let _hold = hold;
            pending::<()>().await;
        });
        executor.run(|| ());
        assert!(ends.try_recv().is_err());
        task.abort();
        assert_eq!(ends.try_recv(), Ok(false));
        task.abort();
        assert!(task.is_over());
    }

    #[test]
    fn a_task_that_is_aborted_while_it_runs_is_dropped_when_it_returns() {
        let (executor, _) = counted();
        let (sender, ends) = mpsc::channel();
        let hold = Held(sender);
        let itself: Arc<Mutex<Option<Arc<Task>>>> = Arc::default();
        let handle = itself.clone();
        let task = executor.spawn(poll_fn(move |_| {
            let _ = &hold;
            locked(&handle).take().inspect(|task| task.abort());
            Poll::Pending
        }));
        *locked(&itself) = Some(task.clone());
        executor.run(|| ());
        assert!(task.is_over());
        assert_eq!(ends.try_recv(), Ok(false));
    }

    #[test]
    fn who_wakes_a_task_from_outside_gives_one_alarm() {
        let (executor, alarms) = counted();
        let (sender, wakers) = mpsc::channel();
        executor.spawn(poll_fn(move |context| {
            let _ = sender.send(context.waker().clone());
            Poll::Pending
        }));
        executor.run(|| ());
        let waker: Waker = wakers.recv().expect("it was polled");
        assert_eq!(alarms.load(SeqCst), 0);
        thread::scope(|scope| drop(scope.spawn(|| waker.wake_by_ref())));
        waker.wake();
        assert_eq!(alarms.load(SeqCst), 1);
        executor.run(|| ());
        assert_eq!(wakers.try_iter().count(), 1);
    }

    #[test]
    fn a_task_woken_in_a_run_is_polled_in_the_same_run() {
        let (executor, alarms) = counted();
        let (sender, polls) = mpsc::channel();
        let mut left = 3;
        executor.spawn(poll_fn(move |context| {
            let _ = sender.send(left);
            left -= 1;
            context.waker().wake_by_ref();
            if left == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        executor.run(|| ());
        assert_eq!(polls.iter().collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(alarms.load(SeqCst), 0);
    }

    #[test]
    fn when_it_is_closed_all_tasks_end_and_none_begins() {
        let (executor, _) = counted();
        let (sender, ends) = mpsc::channel();
        for _ in 0..3 {
            let hold = Held(sender.clone());
            executor.spawn(async move {
                let _hold = hold;
                pending::<()>().await;
            });
        }
        executor.run(|| ());
        executor.close();
        assert_eq!(ends.try_iter().count(), 3);
        let hold = Held(sender);
        executor.spawn(async move { drop(hold) });
        assert_eq!(ends.try_iter().count(), 1);
    }
}
