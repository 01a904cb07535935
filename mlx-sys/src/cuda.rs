// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Errors that CUDA remembers. See native/cuda.cpp.

/// Makes CUDA forget the last error of this thread, if MLX was built for CUDA and is the supported version.
pub fn forget_cuda_error() {
    #[cfg(target_os = "linux")]
    forget_cuda_error_of(crate::running_version());
}

/// [`forget_cuda_error`] for a libmlx of this version; returns whether CUDA was called.
#[cfg(target_os = "linux")]
pub fn forget_cuda_error_of(version: &std::ffi::CStr) -> bool {
    extern "C" {
        fn node_mlx_forget_cuda_error(version: *const std::ffi::c_char) -> bool;
    }
    // SAFETY: the string is NUL-terminated. The only function called is `cudaGetLastError`, found in libmlx by its name.
    unsafe { node_mlx_forget_cuda_error(version.as_ptr()) }
}
