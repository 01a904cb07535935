// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Errors on their way to JavaScript: one JSON object as the message, which lib/errors.ts turns into a NodeMlxError.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
};

use napi::{
    Env,
    bindgen_prelude::{PromiseRaw, ToNapiValue, spawn_blocking},
};
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinError};

use crate::{
    error::{Error, Result},
    panics,
};

pub fn to_napi(error: &Error) -> napi::Error {
    let message = json!({ "code": error.code(), "message": error.to_string(), "details": error.details() });
    napi::Error::from_reason(message.to_string())
}

/// Runs a synchronous call; a panic becomes an error.
pub fn guard<T>(f: impl FnOnce() -> Result<T>) -> napi::Result<T> {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|payload| Err(internal(&*payload)))
        .map_err(|error| to_napi(&error))
}

/// Runs a future on its own task, where a panic ends that task alone and becomes an error.
pub async fn guard_async<T: Send + 'static>(
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> napi::Result<T> {
    joined(tokio::spawn(future).await).map_err(|error| to_napi(&error))
}

/// A promise of what a future brings. For methods, whose objects may be gone before an `async fn` is first polled: the end
/// of a worker waits for nobody.
pub fn promise<T: ToNapiValue + Send + 'static>(
    env: &Env,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> napi::Result<PromiseRaw<'_, T>> {
    env.spawn_future(guard_async(future))
}

/// Tokio would start hundreds of threads for as many texts, and leave the event loop and the engine no time to run.
static BLOCKING: Semaphore = Semaphore::const_new(8);

/// Runs work that takes a while, but not MLX, off the event loop.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    // An error would mean that it has been closed, which it never is.
    let _permit = BLOCKING.acquire().await;
    joined(spawn_blocking(work).await)
}

/// The result of a task; a panic becomes an error.
fn joined<T>(result: Result<Result<T>, JoinError>) -> Result<T> {
    result.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(payload) => Err(internal(&*payload)),
        Err(error) => Err(Error::internal(error.to_string())),
    })
}

fn internal(payload: &(dyn Any + Send)) -> Error {
    Error::internal(panics::message(payload))
}
