// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! How much memory there is.

use std::{
    ffi::CStr,
    sync::atomic::{AtomicBool, Ordering},
};

use mlx_rs::memory;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::{Backend, backend, computes_on_metal, is_cuda};
use crate::error::Result;

/// Whether the user has set the limit.
static LIMITED: AtomicBool = AtomicBool::new(false);

/// Sets MLX's memory limit and returns the previous one, in bytes.
pub fn set_memory_limit(bytes: usize) -> Result<usize> {
    let before = memory::set_memory_limit(bytes)?;
    LIMITED.store(true, Ordering::Relaxed);
    Ok(before)
}

/// Returns the bytes available to new arrays: what the limit leaves, at most what the device has. The limit is the user's, or
/// what macOS recommends, or MLX's.
pub fn available_memory() -> Result<u64> {
    let limit = memory::memory_limit()? as u64;
    let recommended = if LIMITED.load(Ordering::Relaxed) { None } else { recommended_memory() };
    let free = match backend() {
        Backend::Gpu if is_cuda() => device_info(Backend::Gpu, c"free_memory").map(|bytes| bytes as u64),
        // Apple's GPUs use the memory of the system.
        _ => system_memory(),
    };
    let (active, reusable) = (memory::active_memory()? as u64, memory::cache_memory()? as u64);
    Ok(available(limit.min(recommended.map_or(u64::MAX, |bytes| bytes as u64)), active, free, reusable))
}

/// `free`: what the system has; memory that MLX keeps for reuse counts as free.
fn available(limit: u64, active: u64, free: Option<u64>, reusable: u64) -> u64 {
    let allowed = limit.saturating_sub(active);
    free.map_or(allowed, |free| allowed.min(free.saturating_add(reusable)))
}

/// Returns the free bytes of the machine or the container, including the file cache.
fn system_memory() -> Option<u64> {
    let ram = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(ram).ok()?;
    let machine = system.available_memory();
    Some(match system.cgroup_limits() {
        Some(limits) => machine.min(limits.total_memory.saturating_sub(limits.rss)),
        None => machine,
    })
}

/// Keeps what is loaded in physical memory, up to what macOS recommends: weights that macOS may take out are read back for
/// each token (ollama/ollama#17367). No more than that: with a limit above it, each buffer of a run enters and leaves the set
/// of wired ones, which costs time and has crashed Macs (ml-explore/mlx#3186). No less either: the weights that do not fit
/// any more would leave as much room. To be called after a load and after a model is gone, while nothing is computed.
pub fn wire_weights() {
    if let Some(recommended) = recommended_memory() {
        let active = memory::active_memory().unwrap_or(0);
        let _ = memory::set_wired_limit((active + HEAP).min(recommended));
    }
}

/// MLX's heap for small buffers, which is wired as well but is not active memory (mlx/backend/metal/allocator.h).
const HEAP: usize = 1 << 20;

/// The first number of an NVIDIA GPU's compute capability.
pub(super) fn cuda_architecture() -> Option<usize> {
    device_info(Backend::Gpu, c"compute_capability_major")
}

/// Bytes that macOS recommends to use at most; Apple GPUs only.
fn recommended_memory() -> Option<usize> {
    if computes_on_metal() { device_info(Backend::Gpu, c"max_recommended_working_set_size") } else { None }
}

/// Bytes of the largest array that the device can hold, if it says so.
pub fn largest_array() -> Option<usize> {
    if computes_on_metal() { device_info(Backend::Gpu, c"max_buffer_length") } else { None }
}

/// What MLX knows of the device, if it does.
fn device_info(backend: Backend, key: &CStr) -> Option<usize> {
    let (mut exists, mut value) = (false, 0);
    // SAFETY: the handles are created, used and freed here; the key ends with a NUL.
    unsafe {
        let device = backend.handle();
        let mut info = mlx_sys::mlx_device_info_new();
        if mlx_sys::mlx_device_info_get(&raw mut info, device) == 0 {
            mlx_sys::mlx_device_info_has_key(&raw mut exists, info, key.as_ptr());
            exists = exists && mlx_sys::mlx_device_info_get_size(&raw mut value, info, key.as_ptr()) == 0;
        }
        mlx_sys::mlx_device_info_free(info);
        mlx_sys::mlx_device_free(device);
    }
    exists.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::{super::choose_backend, *};

    #[test]
    fn what_is_available_is_the_least_of_all_bounds() {
        assert_eq!(available(100, 30, None, 5), 70);
        assert_eq!(available(100, 30, Some(200), 5), 70);
        assert_eq!(available(100, 30, Some(40), 5), 45);
        assert_eq!(available(20, 30, Some(40), 5), 0);
    }

    #[test]
    fn what_is_loaded_is_wired_on_metal_alone() {
        choose_backend(None).unwrap();
        assert_eq!(
            (recommended_memory().is_some(), largest_array().is_some()),
            (computes_on_metal(), computes_on_metal())
        );
        let array = mlx_rs::Array::from_slice(&[1.0_f32; 4096], &[4096]);
        array.eval().unwrap();
        wire_weights();
        let wired = if computes_on_metal() { memory::active_memory().unwrap() + HEAP } else { 0 };
        assert_eq!(memory::set_wired_limit(0).unwrap(), wired);
        drop(array);
    }
}
