// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Threads that share out the indices of a loop.
//!
//! Each thread begins in a range of its own, as memory is fastest where it is read in order, and then helps others. A
//! thread that the system has put aside holds up one index, not its whole range; one that has not begun holds up
//! nothing, as the caller closes the loop when no index is left. This is what keeps the speed on a busy machine, where
//! threads that wait for each other at a barrier lose nearly all of it.

use std::{
    any::Any,
    marker::PhantomData,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

/// How long an idle thread looks for work before it sleeps: longer than what lies between two products of a step.
const PATIENCE: Duration = Duration::from_micros(100);
/// Multiplications that are worth handing to another thread: some 20 µs. Where there are few cores, MLX's thread, which
/// builds the next step meanwhile, needs one of them: with less, a model of 7 million weights decodes 10 to 15 % slower on
/// two cores.
pub(crate) const SHARE: usize = 256 * 1024;
/// Looks between two looks at the clock.
const LOOKS: u32 = 64;

/// Set in `Shared::state` while threads may join the loop; its higher half counts loops, the lower bits threads inside.
const OPEN: u64 = 1 << 31;

/// A fixed number of threads, the caller's included. The others end when it is dropped.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller whose loop is running.
    caller: Mutex<()>,
}

#[derive(Debug)]
struct Shared {
    state: AtomicU64,
    /// Valid while a thread is inside.
    job: AtomicPtr<Job<'static>>,
    /// Whether each worker sleeps, or is about to.
    sleeping: Vec<AtomicBool>,
    /// The caller, where it sleeps until no thread is inside, or is about to.
    caller: Mutex<Option<Thread>>,
    stops: AtomicBool,
}

struct Job<'a> {
    task: &'a (dyn Fn(usize) + Sync),
    /// What is left of each thread's range.
    ranges: Vec<Part>,
    /// What a worker panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// On cache lines of its own.
#[repr(align(128))]
struct Part {
    next: AtomicUsize,
    end: usize,
}

impl Job<'_> {
    /// Runs what is left, first of the range with the given index.
    fn work(&self, first: usize) {
        let (before, after) = self.ranges.split_at(first);
        for part in after.iter().chain(before) {
            loop {
                let index = part.next.fetch_add(1, Ordering::Relaxed);
                if index >= part.end {
                    break;
                }
                (self.task)(index);
            }
        }
    }
}

impl Pool {
    /// A pool of `threads` threads; 0 is taken for 1. Threads that the system refuses are left out.
    pub fn new(threads: usize) -> Self {
        let others = threads.saturating_sub(1);
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: AtomicPtr::new(std::ptr::null_mut()),
            sleeping: (0..others).map(|_| AtomicBool::new(false)).collect(),
            caller: Mutex::new(None),
            stops: AtomicBool::new(false),
        });
        let start = |index| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("cpu-kernels".to_owned()).spawn(move || shared.serve(index)).ok()
        };
        let workers = (0..others).map_while(start).collect();
        Self { shared, workers, caller: Mutex::new(()) }
    }

    /// The number of threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Whether work of this cost, in multiplications, is worth sharing.
    pub fn shares(&self, cost: usize) -> bool {
        cost >= 2 * SHARE && !self.workers.is_empty()
    }

    /// Calls `task` with each of `0..count`, on all threads. `cost`: of all calls, in multiplications. If that is too little
    /// to share, or another caller's loop is running, the calling thread does it all.
    ///
    /// # Panics
    /// If `task` does, after all threads have left it.
    pub fn run(&self, count: usize, cost: usize, task: impl Fn(usize) + Sync) {
        if count <= 1 || !self.shares(cost) {
            return (0..count).for_each(task);
        }
        let _caller = match self.caller.try_lock() {
            Ok(caller) => caller,
            Err(TryLockError::Poisoned(caller)) => caller.into_inner(),
            Err(TryLockError::WouldBlock) => return (0..count).for_each(task),
        };
        let threads = self.threads();
        let ranges = (0..threads)
            .map(|t| Part { next: AtomicUsize::new(count * t / threads), end: count * (t + 1) / threads })
            .collect();
        let job = Job { task: &task, ranges, panic: Mutex::new(None) };
        let open = self.open(&job);
        let result = catch_unwind(AssertUnwindSafe(|| job.work(0)));
        drop(open);
        if let Err(panic) = result {
            resume_unwind(panic);
        }
        if let Ok(Some(panic)) = job.panic.into_inner() {
            resume_unwind(panic);
        }
    }

    /// Calls `task` with the index of each chunk of `size` elements, and with the chunk; the last one may be shorter.
    /// `cost`: as for `run`.
    pub fn run_chunks<T: Send>(
        &self,
        slice: &mut [T],
        size: usize,
        cost: usize,
        task: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let (len, size) = (slice.len(), size.max(1));
        let shares = Shares::new(slice);
        self.run(len.div_ceil(size), cost, |index| {
            let start = index * size;
            // SAFETY: chunks do not overlap, and each index is run once.
            task(index, unsafe { shares.part(start..(start + size).min(len)) });
        });
    }

    /// Lets the workers join, and wakes those that sleep.
    fn open<'a>(&'a self, job: &'a Job<'_>) -> Open<'a> {
        let shared = &*self.shared;
        let job: *const Job<'_> = job;
        shared.job.store(job.cast_mut().cast(), Ordering::Release);
        let loops = (shared.state.load(Ordering::Relaxed) >> 32) + 1;
        shared.state.store(loops << 32 | OPEN, Ordering::SeqCst);
        for (sleeping, worker) in shared.sleeping.iter().zip(&self.workers) {
            if sleeping.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        Open { shared }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            let _ = worker.join();
        }
    }
}

/// A loop that threads may join. Dropping it closes it, and waits for those that are inside.
struct Open<'a> {
    shared: &'a Shared,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let shared = self.shared;
        shared.state.fetch_and(!OPEN, Ordering::SeqCst);
        let is_busy = || shared.state.load(Ordering::SeqCst) & (OPEN - 1) != 0;
        if poll(|| (!is_busy()).then_some(())).is_some() {
            return;
        }
        // A thread that does not see this left before, which is then seen here.
        *lock(&shared.caller) = Some(thread::current());
        while is_busy() {
            thread::park();
        }
        *lock(&shared.caller) = None;
    }
}

/// Looks until there is something, for as long as [`PATIENCE`]. It never yields: the system would put the thread behind all
/// others of a busy machine, for milliseconds, where one that sleeps is woken at once.
fn poll<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        for _ in 0..LOOKS {
            if let Some(found) = look() {
                return Some(found);
            }
            std::hint::spin_loop();
        }
        if start.elapsed() >= PATIENCE {
            return None;
        }
    }
}

/// Locks a mutex whose data no panic leaves half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Joins loops until the pool is dropped.
    fn serve(&self, index: usize) {
        let mut done = 0;
        while let Some(state) = self.wait(index, done) {
            if self.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            done = state >> 32;
            // SAFETY: the caller does not return, and its job lives, until no thread is inside; this one is, since the
            // exchange found the loop open.
            let job = unsafe { &*self.job.load(Ordering::Acquire) };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job.work(index + 1))) {
                lock(&job.panic).get_or_insert(panic);
            }
            self.state.fetch_sub(1, Ordering::SeqCst);
            if let Some(caller) = &*lock(&self.caller) {
                caller.unpark();
            }
        }
    }

    /// The state when there is a loop to join; `None` once the pool is dropped.
    fn wait(&self, index: usize, done: u64) -> Option<u64> {
        let look = || {
            let state = self.state.load(Ordering::SeqCst);
            let stops = self.stops.load(Ordering::SeqCst);
            let is_wanted = state & OPEN != 0 && state >> 32 != done;
            if stops { Some(None) } else { is_wanted.then_some(Some(state)) }
        };
        loop {
            if let Some(found) = poll(look) {
                return found;
            }
            // A caller that does not see this opened its loop before, which is then seen here.
            self.sleeping[index].store(true, Ordering::SeqCst);
            if look().is_none() {
                thread::park();
            }
            self.sleeping[index].store(false, Ordering::SeqCst);
        }
    }
}

/// A slice whose parts different threads write.
pub(crate) struct Shares<'a, T> {
    start: *mut T,
    len: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: it only gives out parts which, as `part` demands, no two threads have at a time.
unsafe impl<T: Send> Sync for Shares<'_, T> {}

impl<'a, T> Shares<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), owner: PhantomData }
    }

    /// # Safety
    /// Parts that exist at the same time do not overlap.
    #[allow(clippy::mut_from_ref)]
    #[inline(always)]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range is inside of the slice, which is borrowed for as long as `self`, and nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_run_once() {
        for threads in [0, 1, 2, 3, 8] {
            let pool = Pool::new(threads);
            for count in [0, 1, 2, 3, 7, 100, 1001] {
                let runs: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                pool.run(count, usize::MAX, |index| {
                    runs[index].fetch_add(1, Ordering::Relaxed);
                });
                assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1), "{threads} threads, {count}");
            }
        }
    }

    #[test]
    fn every_element_is_in_one_chunk() {
        let pool = Pool::new(3);
        for (len, size) in [(0, 4), (1, 4), (8, 4), (10, 4), (5, 0)] {
            let mut slice = vec![0; len];
            pool.run_chunks(&mut slice, size, usize::MAX, |index, chunk| {
                chunk.iter_mut().for_each(|x| *x += 1 + index)
            });
            assert!(slice.iter().enumerate().all(|(i, &x)| x == 1 + i / size.max(1)), "{len} by {size}: {slice:?}");
        }
    }

    #[test]
    fn callers_at_the_same_time_do_not_wait_for_each_other() {
        let pool = Pool::new(2);
        let total = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        pool.run(10, usize::MAX, |index| {
                            total.fetch_add(index, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 4 * 200 * 45);
    }

    #[test]
    fn threads_sleep_and_wake() {
        let pool = Pool::new(3);
        for _ in 0..5 {
            let start = Instant::now();
            while !pool.shared.sleeping.iter().all(|sleeping| sleeping.load(Ordering::SeqCst)) {
                assert!(start.elapsed() < Duration::from_secs(20));
                thread::sleep(PATIENCE);
            }
            let total = AtomicUsize::new(0);
            pool.run(100, usize::MAX, |_| {
                total.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(total.into_inner(), 100);
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_leaves_the_pool_usable() {
        let pool = Pool::new(2);
        for bad in [0, 99] {
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.run(100, usize::MAX, |index| assert_ne!(index, bad));
            }));
            assert!(result.is_err(), "{bad}");
        }
        let total = AtomicUsize::new(0);
        pool.run(100, usize::MAX, |_| {
            total.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(total.into_inner(), 100);
    }
}
