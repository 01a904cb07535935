// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Operations on the CPU whose kernels are the caller's (native/kernel.cpp).

use core::ffi::{c_int, c_void};

use crate::{mlx_array, mlx_stream};

/// More axes than any input has.
pub const NODE_MLX_MAX_AXES: usize = 8;

/// An input of a kernel. Its elements lie in the order of its strides, which count elements.
#[repr(C)]
#[derive(Debug)]
pub struct node_mlx_input {
    pub data: *const c_void,
    pub ndim: usize,
    /// Of the first `ndim` axes.
    pub shape: [i32; NODE_MLX_MAX_AXES],
    /// Of the first `ndim` axes.
    pub strides: [i64; NODE_MLX_MAX_AXES],
    pub itemsize: usize,
    /// Whether it was copied.
    pub scattered: bool,
}

pub type node_mlx_kernel = unsafe extern "C" fn(
    state: *mut c_void,
    inputs: *const node_mlx_input,
    count: usize,
    output: *mut f32,
    size: usize,
);

extern "C" {
    /// An f32 array that the kernel computes when it is evaluated, on MLX's CPU thread. Takes `state`, also where it
    /// fails. Inputs are contiguous, or with `strided` have contiguous rows.
    pub fn node_mlx_run_kernel(
        res: *mut mlx_array,
        kernel: node_mlx_kernel,
        state: *mut c_void,
        free_state: unsafe extern "C" fn(*mut c_void),
        strided: bool,
        inputs: *const mlx_array,
        count: usize,
        shape: *const i32,
        ndim: usize,
        stream: mlx_stream,
    ) -> c_int;
}
