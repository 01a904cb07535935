// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The process as a whole: its start and end, versions, devices and memory.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use napi::{Env, bindgen_prelude::Object};
use napi_derive::napi;

use super::errors::{guard, guard_async};
use crate::{
    engine,
    mlx::{self, Backend},
    panics,
};

/// Maximum time that the end of the process waits for the current turn.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Number of environments (the main thread and workers) that have loaded the addon.
static ENVIRONMENTS: AtomicUsize = AtomicUsize::new(0);

#[napi(module_exports)]
pub fn init(_exports: Object, env: Env) -> napi::Result<()> {
    if ENVIRONMENTS.fetch_add(1, Ordering::SeqCst) == 0 {
        panics::install_quiet_hook();
    }
    env.add_env_cleanup_hook((), |()| {
        if ENVIRONMENTS.fetch_sub(1, Ordering::SeqCst) == 1 {
            engine::shutdown(PATIENCE, false);
        }
    })?;
    Ok(())
}

/// Ends all work permanently. Node runs no clean-up hook when the main thread calls `process.exit`.
#[napi(catch_unwind)]
pub fn shutdown() {
    engine::shutdown(PATIENCE, true);
}

static EXIT_CLAIMED: AtomicBool = AtomicBool::new(false);

/// `true` for the first caller in the process, which must call [`shutdown`] on exit.
#[napi(catch_unwind)]
pub fn claim_exit() -> bool {
    !EXIT_CLAIMED.swap(true, Ordering::SeqCst)
}

/// Sets an environment variable for MLX, unless it is set. (A worker's `process.env` is a copy, which MLX does not see.)
/// Must be called before anything is computed.
#[napi(catch_unwind)]
pub fn set_default_variable(name: String, value: String) {
    if std::env::var_os(&name).is_none() {
        // SAFETY: MLX, which reads it, has not been called yet, and Rust's own accesses are synchronised.
        unsafe { std::env::set_var(name, value) };
    }
}

/// This package's version.
#[napi(catch_unwind)]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// MLX's version.
#[napi(catch_unwind)]
pub fn mlx_version() -> String {
    mlx::version()
}

/// The devices that models can run on, the one that `auto` means first. A Mac needs its GPU for the CPU, too: MLX takes all
/// memory from Metal (mlx/backend/metal/allocator.cpp).
#[napi(catch_unwind)]
pub fn devices() -> Vec<&'static str> {
    if cfg!(target_os = "macos") && !Backend::Gpu.is_available() {
        return Vec::new();
    }
    [Backend::Gpu, Backend::Cpu].into_iter().filter(|backend| backend.is_available()).map(Backend::name).collect()
}

/// Number of passes through models since the addon was loaded.
#[napi(catch_unwind)]
pub fn engine_steps() -> f64 {
    engine::passes() as f64
}

/// MLX's memory, in bytes.
#[napi(object)]
pub struct NativeMemoryUsage {
    /// Held by arrays.
    pub active: f64,
    /// Kept for reuse.
    pub cache: f64,
    /// Maximum that arrays have held.
    pub peak: f64,
}

#[napi]
pub async fn memory_usage() -> napi::Result<NativeMemoryUsage> {
    guard_async(async {
        engine::call(|| {
            Ok(NativeMemoryUsage {
                active: mlx_rs::memory::active_memory()? as f64,
                cache: mlx_rs::memory::cache_memory()? as f64,
                peak: mlx_rs::memory::peak_memory()? as f64,
            })
        })
        .await?
    })
    .await
}

/// Sets MLX's memory limit and returns the previous one, in bytes.
#[napi]
pub async fn set_memory_limit(bytes: f64) -> napi::Result<f64> {
    guard_async(async move { engine::call(move || Ok(mlx::set_memory_limit(bytes as usize)? as f64)).await? }).await
}

/// Sets how much unused memory MLX keeps and returns the previous limit, in bytes.
#[napi]
pub async fn set_cache_limit(bytes: f64) -> napi::Result<f64> {
    guard_async(async move { engine::call(move || Ok(mlx_rs::memory::set_cache_limit(bytes as usize)? as f64)).await? })
        .await
}

/// Sets how many threads compute on the CPU and returns the previous number.
#[napi]
pub async fn set_threads(count: u32) -> napi::Result<f64> {
    guard_async(async move { engine::call(move || Ok(mlx::set_threads(count as usize)? as f64)).await? }).await
}

/// Panics in a synchronous call, to test that a bug in Rust does not end the process. Not in the package's `exports`.
#[napi]
#[allow(clippy::panic, reason = "panicking is its purpose")]
pub fn inject_panic() -> napi::Result<()> {
    guard(|| panic!("injected"))
}

/// Panics on a task (`async`) or on the inference thread (`engine`), for the same test.
#[napi]
#[allow(clippy::panic, reason = "panicking is its purpose")]
pub async fn inject_panic_at(place: String) -> napi::Result<()> {
    guard_async(async move {
        if place == "engine" { engine::call(|| panic!("injected")).await } else { panic!("injected") }
    })
    .await
}
