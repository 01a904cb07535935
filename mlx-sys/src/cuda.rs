// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What MLX's CUDA backend needs of us. See native/cuda.cpp, jit.cpp and nvrtc.cpp.

use crate::mlx_array;

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

/// Loads MLX's `cuda_kernel` that is to compute an array from MLX's folder for kernels; compiles it and leaves it there first, if
/// it is not. Returns whether it is loaded: MLX compiles it otherwise, as it does where libmlx is not the supported version.
pub fn keep_kernel(array: mlx_array, folder: &std::ffi::CStr) -> bool {
    #[cfg(target_os = "linux")]
    {
        extern "C" {
            fn node_mlx_keep_kernel(
                a: mlx_array,
                folder: *const std::ffi::c_char,
                version: *const std::ffi::c_char,
            ) -> bool;
        }
        // SAFETY: the handle is valid, and the strings are NUL-terminated. The functions called are MLX's, found by their names.
        unsafe { node_mlx_keep_kernel(array, folder.as_ptr(), crate::running_version().as_ptr()) }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (array, folder);
        false
    }
}

/// Keeps NVIDIA's compiler of kernels from handling signals of the process; returns how many of them were found. To be called
/// once libmlx has been loaded.
#[cfg(target_os = "linux")]
pub fn keep_signals() -> i32 {
    extern "C" {
        fn node_mlx_keep_signals() -> i32;
    }
    // SAFETY: it changes what libraries named libnvrtc.so call for `signal`, a function of the same type.
    unsafe { node_mlx_keep_signals() }
}
