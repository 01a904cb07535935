// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Work that must end: whether its time is up, and whether somebody still waits for it. The work itself asks, between steps
//! that do not take long.

use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{error::Error, panics::lock};

/// Cancels a task.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_cancelled: AtomicBool,
    changed: Notify,
}

impl Cancel {
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::SeqCst)
    }

    /// Waits until it is cancelled.
    pub async fn cancelled(&self) {
        let changed = self.0.changed.notified();
        if !self.is_cancelled() {
            changed.await;
        }
    }
}

/// What the work of a thread asks.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    cancels: Vec<Cancel>,
    deadline: Option<Instant>,
    /// That of [`limited`], which who waits for the work sees as well.
    limit: Arc<Mutex<Option<Limit>>>,
}

#[derive(Debug, Clone, Copy)]
struct Limit {
    /// How long the processor may work for it.
    time: Duration,
    clock: Clock,
    start: Duration,
    /// When it ends even if it got less.
    latest: Instant,
    error: fn() -> Error,
}

/// How many times its limit work may take where others have the processor.
const PATIENCE: u32 = 10;

thread_local! {
    static CURRENT: RefCell<Watch> = RefCell::default();
}

impl Watch {
    pub fn new(cancels: impl Into<Vec<Cancel>>) -> Self {
        Self { cancels: cancels.into(), ..Self::default() }
    }

    /// That of this thread's work, for another thread that does a part of it.
    pub fn current() -> Self {
        CURRENT.with_borrow(Clone::clone)
    }

    /// How long to wait before asking again whether to give up the work, which is `grace` after its time at the latest;
    /// `None` without a limit.
    ///
    /// # Errors
    /// That of the limit if the work is to be given up now.
    pub fn patience(&self, grace: Duration) -> Result<Option<Duration>, Error> {
        let Some(limit) = *lock(&self.limit) else { return Ok(None) };
        let most = (limit.latest + grace).saturating_duration_since(Instant::now());
        let left = limit.clock.seen_by_others().and_then(|clock| Some((clock.read()?, limit.time + grace)));
        let left = left.map_or(most, |(now, time)| most.min((limit.start + time).saturating_sub(now)));
        if left.is_zero() { Err((limit.error)()) } else { Ok(Some(left)) }
    }

    /// Gives more time to work that got too little of the processor. Returns whether it did.
    fn extend(&mut self) -> bool {
        let Some(limit) = *lock(&self.limit) else { return false };
        let Some(now) = limit.clock.read() else { return false };
        let left = (limit.start + limit.time).saturating_sub(now);
        self.deadline = Some((Instant::now() + left).min(limit.latest));
        left > Duration::from_millis(1) && Instant::now() < limit.latest
    }

    /// Runs `work` on this thread under this watch.
    pub fn over<T>(self, work: impl FnOnce() -> T) -> T {
        /// Also puts it back when the work panics.
        struct Restore(Watch);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(std::mem::take(&mut self.0));
            }
        }
        let _restore = Restore(CURRENT.replace(self));
        work()
    }
}

/// Runs `work`, which may take that long, or as long as what it is a part of.
pub fn within<T>(time: Duration, work: impl FnOnce() -> T) -> T {
    let watch = Watch::current();
    let end = Instant::now() + time;
    Watch { deadline: Some(watch.deadline.map_or(end, |deadline| deadline.min(end))), ..watch }.over(work)
}

/// The same for work whose time is the processor's, where the system tells. Who waits for it gives up with this error,
/// should it not notice that its time is up.
pub fn limited<T>(time: Duration, error: fn() -> Error, work: impl FnOnce() -> T) -> T {
    /// Also puts it back when the work panics.
    struct Restore(Arc<Mutex<Option<Limit>>>, Option<Limit>);
    impl Drop for Restore {
        fn drop(&mut self) {
            *lock(&self.0) = self.1.take();
        }
    }
    within(time, || {
        let limit = Watch::current().limit;
        let before = *lock(&limit);
        let latest = Instant::now() + time * PATIENCE;
        let latest = before.map_or(latest, |before| latest.min(before.latest));
        let clock = Clock::of_this_thread();
        *lock(&limit) = Some(Limit { time, clock, start: clock.read().unwrap_or_default(), latest, error });
        let _restore = Restore(limit, before);
        work()
    })
}

/// Whether this thread's work should end.
pub fn is_over() -> bool {
    CURRENT.with_borrow_mut(|watch| {
        watch.deadline.is_some_and(|deadline| Instant::now() > deadline) && !watch.extend()
            || watch.cancels.iter().any(Cancel::is_cancelled)
    })
}

/// How long the processor has worked for this thread, where the system tells.
pub fn thread_time() -> Option<Duration> {
    Clock::of_this_thread().read()
}

/// Takes what another thread did for this one's work from its time.
pub fn charge(time: Duration) {
    if let Some(limit) = &mut *lock(&Watch::current().limit) {
        limit.time = limit.time.saturating_sub(time);
    }
}

/// A thread's clock, which runs while the processor works for it.
#[derive(Debug, Clone, Copy)]
struct Clock(#[cfg(unix)] libc::clockid_t);

impl Clock {
    fn of_this_thread() -> Self {
        #[cfg(target_os = "linux")]
        {
            let mut clock = libc::CLOCK_THREAD_CPUTIME_ID;
            // SAFETY: the thread is this one, and the call writes to `clock` only.
            unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
            Self(clock)
        }
        #[cfg(all(unix, not(target_os = "linux")))]
        return Self(libc::CLOCK_THREAD_CPUTIME_ID);
        #[cfg(not(unix))]
        return Self();
    }

    /// The clock if it is the same in another thread.
    fn seen_by_others(self) -> Option<Self> {
        cfg!(target_os = "linux").then_some(self)
    }

    /// `None` where there is no such clock, or the thread has ended.
    fn read(self) -> Option<Duration> {
        #[cfg(unix)]
        {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: the call writes to `time` only.
            let failed = unsafe { libc::clock_gettime(self.0, &raw mut time) } != 0;
            let time = Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?);
            (!failed).then_some(time)
        }
        #[cfg(not(unix))]
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limited_work_has_the_time_of_the_processor() {
        let error = || Error::Aborted;
        let spin = |time: Duration| {
            let start = Instant::now();
            while start.elapsed() < time && !is_over() {}
            start.elapsed() < time
        };
        // A sleep on a busy machine may take some of them longer.
        let time = Duration::from_millis(100);
        limited(time, error, || {
            std::thread::sleep(time * 2);
            // It waited only.
            assert!(cfg!(not(unix)) || !is_over());
            assert!(spin(time * 50));
            // Work may end a millisecond early; those who wait for it give up at the limit.
            let end = thread_time().map(|now| now + Duration::from_millis(2));
            while thread_time() < end {}
            assert!(cfg!(not(target_os = "linux")) || Watch::current().patience(Duration::ZERO).is_err());
            assert!(matches!(Watch::current().patience(time * 1000), Ok(Some(_))));
        });
        assert!(matches!(Watch::current().patience(time), Ok(None)));
        limited(time, error, || {
            charge(time);
            std::thread::sleep(time * 2);
            assert!(is_over());
        });
        // But not for ever.
        limited(time, error, || {
            std::thread::sleep(time * (PATIENCE + 1));
            assert!(is_over());
        });
    }

    #[test]
    fn work_is_over_when_its_time_is_up_or_it_is_cancelled() {
        assert!(!is_over());
        assert!(within(Duration::ZERO, || {
            std::thread::sleep(Duration::from_millis(1));
            // A part has no more time than the whole.
            within(Duration::from_secs(60), is_over)
        }));
        let cancel = Cancel::default();
        Watch::new([cancel.clone()]).over(|| {
            assert!(!is_over());
            cancel.cancel();
            assert!(is_over());
        });
        assert!(!is_over());
    }
}
