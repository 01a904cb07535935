// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What happens where the CPU has no memory left. See native/allocator.cpp.

#[cfg(target_os = "linux")]
use std::ffi::{c_void, CStr};

/// Makes MLX report that memory ran out, instead of using a null pointer. To be called before anything is computed.
/// Does nothing off Linux, or if the loaded libmlx is not the version that this crate supports.
pub fn check_allocations() {
    #[cfg(target_os = "linux")]
    check_allocations_of(running_version());
}

/// [`check_allocations`] for a libmlx of this version; returns whether allocations are checked now.
#[cfg(target_os = "linux")]
pub fn check_allocations_of(version: &CStr) -> bool {
    extern "C" {
        fn node_mlx_check_allocations(version: *const std::ffi::c_char) -> bool;
    }
    // SAFETY: the string is NUL-terminated. The vtable is replaced only if it has the expected layout, and before
    // anything is computed, so no other thread is using it.
    unsafe { node_mlx_check_allocations(version.as_ptr()) }
}

/// A vtable: two header words, then seven functions.
#[cfg(target_os = "linux")]
pub type AllocatorTable = [*mut c_void; 9];

/// Whether this has the layout of the vtable of MLX's allocator.
#[cfg(target_os = "linux")]
pub fn is_allocator_table(table: &AllocatorTable) -> bool {
    extern "C" {
        fn node_mlx_is_allocator_table(head: *const *mut c_void) -> bool;
    }
    // SAFETY: it reads the nine pointers and dereferences none of them.
    unsafe { node_mlx_is_allocator_table(table.as_ptr()) }
}

/// The version of the loaded libmlx.
#[cfg(target_os = "linux")]
pub(crate) fn running_version() -> &'static CStr {
    extern "C" {
        fn node_mlx_version() -> *const std::ffi::c_char;
    }
    // SAFETY: MLX returns a string literal.
    unsafe { CStr::from_ptr(node_mlx_version()) }
}
