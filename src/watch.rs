// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Work that must end: whether its time is up, and whether somebody still waits for it. The work itself asks, between steps
//! that do not take long.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

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
}

thread_local! {
    static CURRENT: RefCell<Watch> = RefCell::default();
}

impl Watch {
    pub fn new(cancels: impl Into<Vec<Cancel>>) -> Self {
        Self { cancels: cancels.into(), deadline: None }
    }

    /// That of this thread's work, for another thread that does a part of it.
    pub fn current() -> Self {
        CURRENT.with_borrow(Clone::clone)
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
    let Watch { cancels, deadline } = Watch::current();
    let end = Instant::now() + time;
    Watch { cancels, deadline: Some(deadline.map_or(end, |deadline| deadline.min(end))) }.over(work)
}

/// Whether this thread's work should end.
pub fn is_over() -> bool {
    CURRENT.with_borrow(|Watch { cancels, deadline }| {
        deadline.is_some_and(|deadline| Instant::now() > deadline) || cancels.iter().any(Cancel::is_cancelled)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
