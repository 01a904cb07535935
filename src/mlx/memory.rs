// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! How much memory there is.

use std::ffi::CStr;

use mlx_rs::memory;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::{Backend, backend, is_cuda};
use crate::error::Result;

/// Returns the bytes available to new arrays: what MLX's memory limit leaves, at most what the device has.
pub fn available_memory() -> Result<u64> {
    let allowed = memory::memory_limit()?.saturating_sub(memory::active_memory()?) as u64;
    // Memory that MLX keeps for reuse counts as free.
    let reusable = memory::cache_memory()? as u64;
    let free = match backend() {
        Backend::Cpu => system_memory(),
        Backend::Gpu => device_info(Backend::Gpu, c"free_memory").map(|bytes| bytes as u64),
    };
    Ok(free.map_or(allowed, |free| allowed.min(free.saturating_add(reusable))))
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

/// Sets the limit of wired memory to what macOS recommends, as mlx-lm does while it generates. Has no effect on
/// machines that do not support it.
pub fn set_wired_limit(backend: Backend) {
    if backend == Backend::Gpu
        && !is_cuda()
        && let Some(bytes) = device_info(backend, c"max_recommended_working_set_size")
    {
        let _ = memory::set_wired_limit(bytes);
    }
}

/// The first number of an NVIDIA GPU's compute capability.
pub(super) fn cuda_architecture() -> Option<usize> {
    device_info(Backend::Gpu, c"compute_capability_major")
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
    use super::{super::init, *};

    #[test]
    fn the_limit_of_wired_memory_is_what_macos_recommends() {
        init();
        // Elsewhere there is no such limit.
        let is_metal = Backend::Gpu.is_available() && !is_cuda();
        let size = device_info(Backend::Gpu, c"max_recommended_working_set_size");
        let recommended = if is_metal { size.unwrap() } else { 0 };
        set_wired_limit(Backend::Gpu);
        assert_eq!(memory::set_wired_limit(0).unwrap(), recommended);
    }
}
