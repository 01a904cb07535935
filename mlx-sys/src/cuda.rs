// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Errors that CUDA remembers. See native/cuda.cpp.

/// Makes CUDA forget the last error of this thread, if MLX has been built for it.
pub fn forget_cuda_error() {
    #[cfg(not(target_vendor = "apple"))]
    {
        extern "C" {
            fn node_mlx_forget_cuda_error();
        }
        // SAFETY: a plain call.
        unsafe { node_mlx_forget_cuda_error() };
    }
}
