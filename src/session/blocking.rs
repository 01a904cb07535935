// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Work that takes a while but does not need MLX.

use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{
    error::{Error, Result},
    panics::guard,
};

/// Tokio would start hundreds of threads for as many texts, and leave the event loop and the engine no time to run.
static PERMITS: Semaphore = Semaphore::const_new(8);

/// Runs `work` on another thread; a panic becomes an error.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    // An error would mean that the semaphore has been closed, which it never is.
    let _permit = PERMITS.acquire().await;
    spawn_blocking(|| guard(work)).await.unwrap_or_else(|error| Err(Error::internal(error.to_string())))
}
