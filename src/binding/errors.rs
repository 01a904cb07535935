// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Errors on their way to JavaScript: one JSON object as the message, which lib/errors.ts turns into a NodeMlxError.

use std::future::Future;

use napi::{
    Env,
    bindgen_prelude::{PromiseRaw, ToNapiValue},
};
use serde_json::json;

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
    panics::guard(f).map_err(|error| to_napi(&error))
}

/// Runs a future on its own task, where a panic ends that task alone and becomes an error.
pub async fn guard_async<T: Send + 'static>(
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> napi::Result<T> {
    let result = tokio::spawn(future).await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(payload) => Err(Error::internal(panics::message(&*payload))),
        Err(error) => Err(Error::internal(error.to_string())),
    });
    result.map_err(|error| to_napi(&error))
}

/// A promise of a future's result. Methods need it: their objects may be gone before an `async fn` is first polled, as the
/// end of a worker waits for nobody.
pub fn promise<T: ToNapiValue + Send + 'static>(
    env: &Env,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> napi::Result<PromiseRaw<'_, T>> {
    env.spawn_future(guard_async(future))
}
