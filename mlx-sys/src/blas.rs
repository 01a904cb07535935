// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! OpenBLAS, where it computes the CPU's matrix products: its number of threads, and its choice of kernels.

/// Has no effect where another BLAS is linked.
pub fn set_blas_threads(threads: u16) {
    #[cfg(openblas)]
    {
        extern "C" {
            #[cfg_attr(target_os = "linux", link_name = "scipy_openblas_set_num_threads")]
            fn openblas_set_num_threads(threads: ::std::os::raw::c_int);
        }
        // SAFETY: any number is valid, and OpenBLAS locks its own list of threads.
        unsafe { openblas_set_num_threads(threads.into()) };
    }
    #[cfg(not(openblas))]
    let _ = threads;
}

/// Has no effect but on arm64 Linux, where OpenBLAS (scipy-openblas32 0.3.34.481.3) chooses kernels that compute nothing on
/// processors with SME. Makes it choose again, among the others. Must be called before the first product.
pub fn avoid_empty_kernels() {
    #[cfg(all(openblas, target_arch = "aarch64"))]
    {
        use std::{arch::is_aarch64_feature_detected, env, ffi::c_void};
        extern "C" {
            /// The set of kernels in use.
            static gotoblas: *const c_void;
            /// The empty ones.
            static gotoblas_ARMV9SME: c_void;
            fn gotoblas_dynamic_quit();
            fn gotoblas_dynamic_init();
        }
        const CHOICE: &str = "OPENBLAS_CORETYPE";
        // SAFETY: OpenBLAS has computed nothing yet, so nobody reads what these functions write; they keep no thread or
        // memory. Rust's own accesses to the environment are synchronised.
        unsafe {
            if gotoblas != &raw const gotoblas_ARMV9SME {
                return;
            }
            let kernels = if is_aarch64_feature_detected!("sve") { "ARMV8SVE" } else { "NEOVERSEN1" };
            env::set_var(CHOICE, kernels);
            gotoblas_dynamic_quit();
            gotoblas_dynamic_init();
            env::remove_var(CHOICE);
        }
    }
}
