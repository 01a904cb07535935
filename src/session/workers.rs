// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Threads for work that takes a while but does not need MLX. Each model has its own, so that texts that take long keep no
//! other model from theirs.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, LazyLock, Mutex, Weak},
    task::Poll,
};

use tokio::{
    runtime::{Builder, Runtime},
    time::sleep,
};

use crate::{
    error::{Error, Result},
    limits::{GRACE, LOADING_THREADS},
    panics::{guard, lock},
    watch::{Cancel, Watch},
};

/// For the files of models.
pub static LOADERS: LazyLock<Workers> = LazyLock::new(|| Workers::new(LOADING_THREADS));

/// A few threads, started when they are needed. Tokio would start hundreds for as many texts, and leave the event loop and
/// the engine no time to run.
pub struct Workers {
    /// Only for its blocking threads: napi-rs makes another runtime, without a way to set their number, and makes it anew
    /// whenever the last environment has ended.
    runtime: std::io::Result<Runtime>,
    closed: Cancel,
    threads: usize,
    /// Work that has begun, also if nobody waits for it any more.
    begun: Arc<Begun>,
}

#[derive(Default)]
struct Begun(Mutex<Vec<Weak<Watch>>>);

impl Begun {
    fn add(&self, watch: &Arc<Watch>) {
        let mut all = lock(&self.0);
        all.retain(|watch| watch.strong_count() > 0);
        all.push(Arc::downgrade(watch));
    }

    /// How much of it goes on although its time is up.
    fn overdue(&self) -> usize {
        let is_overdue = |watch: &Arc<Watch>| watch.patience(GRACE).is_err();
        lock(&self.0).iter().filter_map(Weak::upgrade).filter(is_overdue).count()
    }
}

impl Workers {
    pub fn new(threads: usize) -> Self {
        let runtime = Builder::new_current_thread().max_blocking_threads(threads).build();
        Self { runtime, closed: Cancel::default(), threads, begun: Arc::default() }
    }

    /// Runs `work` on one of the threads; a panic becomes an error. Who cancels it, or closes the workers, does not wait for
    /// what goes on: it ends when it next asks, or its time is up. Nor does anybody wait for work that does not ask.
    ///
    /// # Errors
    /// Those of `work`, and of its time limit; `Aborted`; `ModelDisposed` if the workers are closed.
    pub fn run<T: Send + 'static, W: FnOnce() -> Result<T> + Send + 'static>(
        &self,
        cancel: &Cancel,
        work: W,
    ) -> impl Future<Output = Result<T>> + Send + use<T, W> {
        let (cancel, closed) = (cancel.clone(), self.closed.clone());
        let watch = Arc::new(Watch::new([cancel.clone(), closed.clone()]));
        let (threads, begun) = (self.threads, Arc::clone(&self.begun));
        let (watched, earlier) = (Arc::clone(&watch), Arc::clone(&begun));
        let task = match &self.runtime {
            Ok(runtime) => Ok(runtime.spawn_blocking(move || {
                begun.add(&watch);
                guard(|| Watch::clone(&watch).over(work))
            })),
            Err(error) => Err(Error::internal(error.to_string())),
        };
        async move {
            let task = task?;
            let waiting = task.abort_handle();
            let ended = async {
                task.await.unwrap_or_else(|error| match error.is_cancelled() {
                    true => Err(Error::ModelDisposed),
                    false => Err(Error::internal(error.to_string())),
                })
            };
            let aborted = async {
                cancel.cancelled().await;
                Err(Error::Aborted)
            };
            let disposed = async {
                closed.cancelled().await;
                Err(Error::ModelDisposed)
            };
            let overdue = async {
                loop {
                    match watched.patience(GRACE) {
                        Err(error) => return Err(error),
                        Ok(None) if earlier.overdue() >= threads => return Err(no_thread()),
                        Ok(time) => sleep(time.unwrap_or(GRACE)).await,
                    }
                }
            };
            let result = first(ended, first(first(disposed, aborted), overdue)).await;
            // Only what has not begun.
            waiting.abort();
            match result {
                Err(_) if closed.is_cancelled() => Err(Error::ModelDisposed),
                Err(_) if cancel.is_cancelled() => Err(Error::Aborted),
                result => result,
            }
        }
    }

    /// Ends all work, and takes no more.
    pub fn close(&self) {
        self.closed.cancel();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.close();
        // Not waiting for the threads.
        if let Ok(runtime) = std::mem::replace(&mut self.runtime, Err(std::io::ErrorKind::Other.into())) {
            runtime.shutdown_background();
        }
    }
}

/// The error where earlier texts have taken all threads.
fn no_thread() -> Error {
    let message = "earlier texts of this model still take all of its threads, although their time is up";
    Error::TokenizeFailed { message: message.to_owned() }
}

/// The output of the future that is ready first.
async fn first<T>(a: impl Future<Output = T>, b: impl Future<Output = T>) -> T {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|context| match a.as_mut().poll(context) {
        Poll::Pending => b.as_mut().poll(context),
        ready => ready,
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
            mpsc::channel,
        },
        thread::sleep,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::watch::{is_over, limited};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn few_threads_do_all_the_work() {
        let (workers, running) = (Workers::new(3), Arc::new(AtomicUsize::new(0)));
        let most = block_on(async {
            let work = || {
                let running = Arc::clone(&running);
                workers.run(&Cancel::default(), move || {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    sleep(Duration::from_millis(2));
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(now)
                })
            };
            let tasks: Vec<_> = (0..50).map(|_| work()).collect();
            let mut most = 0;
            for task in tasks {
                most = most.max(task.await.unwrap());
            }
            most
        });
        assert!((2..=3).contains(&most), "{most} at once");
    }

    const BUSY: Duration = Duration::from_secs(4);
    /// The process does not wait for it either.
    const A_WHILE: Duration = Duration::from_secs(60);

    /// Never asks.
    fn busy() -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < BUSY {}
        Ok(())
    }

    /// Goes on until nobody waits for it, and then for a while.
    fn endless() -> Result<()> {
        while !is_over() {
            sleep(Duration::from_millis(1));
        }
        sleep(A_WHILE);
        Ok(())
    }

    #[test]
    fn work_that_does_not_notice_the_end_of_its_time_is_given_up() {
        let error = || Error::TokenizeFailed { message: "late".to_owned() };
        let work = move || limited(Duration::from_millis(10), error, busy);
        let workers = Workers::new(2);
        let run = || workers.run(&Cancel::default(), work);
        let (first, second, waiting) = (run(), run(), run());
        let start = Instant::now();
        for (late, message) in [(first, "late"), (second, "late"), (waiting, "take all of its threads")] {
            let error = block_on(late).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
        assert!(start.elapsed() < BUSY, "{:?}", start.elapsed());
        // Until one of the threads is done.
        while block_on(workers.run(&Cancel::default(), || Ok(()))).is_err() {
            sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn cancelled_work_that_goes_on_is_not_waited_for_by_what_comes_after_it() {
        let error = || Error::TokenizeFailed { message: "late".to_owned() };
        let (workers, cancel, (tell, begun)) = (Workers::new(1), Cancel::default(), channel());
        let first = workers.run(&cancel, move || {
            let _ = tell.send(());
            limited(Duration::from_millis(10), error, busy)
        });
        let waiting = workers.run(&Cancel::default(), || Ok(()));
        begun.recv().unwrap();
        cancel.cancel();
        assert!(matches!(block_on(first), Err(Error::Aborted)));
        let error = block_on(waiting).unwrap_err();
        assert!(error.to_string().contains("take all of its threads"), "{error}");
    }

    #[test]
    fn work_that_is_cancelled_or_closed_is_not_waited_for() {
        let workers = Workers::new(1);
        let (going, queued) = (Cancel::default(), Cancel::default());
        let (first, second, third) =
            (workers.run(&going, endless), workers.run(&queued, endless), workers.run(&Cancel::default(), endless));
        let start = Instant::now();
        queued.cancel();
        assert!(matches!(block_on(second), Err(Error::Aborted)));
        going.cancel();
        assert!(matches!(block_on(first), Err(Error::Aborted)));
        workers.close();
        assert!(matches!(block_on(third), Err(Error::ModelDisposed)));
        drop(workers);
        assert!(start.elapsed() < A_WHILE / 2, "{:?}", start.elapsed());
    }
}
