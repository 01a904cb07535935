// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Work that takes a while but does not need MLX.

use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};

use crate::{
    error::{Error, Result},
    panics::guard,
};

/// Tokio would start hundreds of threads for as many texts, and leave the event loop and the engine no time to run.
const THREADS: usize = 8;

/// A runtime only for its blocking threads: napi-rs makes another one, without a way to set their number, and makes
/// it anew whenever the last environment has ended.
static RUNTIME: LazyLock<std::io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_current_thread().max_blocking_threads(THREADS).build());

/// Runs `work` on another thread; a panic becomes an error.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let runtime = RUNTIME.as_ref().map_err(|error| Error::internal(error.to_string()))?;
    runtime.spawn_blocking(|| guard(work)).await.unwrap_or_else(|error| Err(Error::internal(error.to_string())))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread::sleep,
        time::Duration,
    };

    use super::*;

    #[test]
    fn few_threads_do_all_the_work() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        let work = || {
            let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
            sleep(Duration::from_millis(2));
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            Ok(running)
        };
        let most = Builder::new_current_thread().build().unwrap().block_on(async {
            let tasks: Vec<_> = (0..50).map(|_| tokio::spawn(blocking(work))).collect();
            let mut most = 0;
            for task in tasks {
                most = most.max(task.await.unwrap().unwrap());
            }
            most
        });
        assert!((2..=THREADS).contains(&most), "{most} at once");
    }
}
