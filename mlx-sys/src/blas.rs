// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! How many threads the CPU's matrix products use, where OpenBLAS computes them.

/// Has no effect where another BLAS is linked.
pub fn set_blas_threads(threads: u16) {
    #[cfg(openblas)]
    {
        extern "C" {
            fn scipy_openblas_set_num_threads(threads: ::std::os::raw::c_int);
        }
        // SAFETY: any number is valid, and OpenBLAS locks its own list of threads.
        unsafe { scipy_openblas_set_num_threads(threads.into()) };
    }
    #[cfg(not(openblas))]
    let _ = threads;
}
