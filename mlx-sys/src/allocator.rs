// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What happens where the CPU has no memory left. See native/allocator.cpp.

/// Makes MLX report that memory ran out, instead of using a null pointer. To be called before anything is computed.
pub fn check_allocations() {
    #[cfg(not(target_vendor = "apple"))]
    {
        extern "C" {
            fn node_mlx_check_allocations();
        }
        // SAFETY: a plain call; no other thread allocates yet.
        unsafe { node_mlx_check_allocations() };
    }
}
