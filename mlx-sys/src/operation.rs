// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Operations that are applied many times (native/operation.cpp), or in place (native/in_place.cpp).

use core::ffi::{c_int, c_void};

use crate::{mlx_array, mlx_dtype};

extern "C" {
    /// What is to compute an array, to be freed; null if nothing is.
    pub fn node_mlx_operation_of(a: mlx_array) -> *mut c_void;

    /// What `mlx_slice_update` is to make of an array, in that array's memory. Earlier readers of the array may remain, but must
    /// not read what is written.
    pub fn node_mlx_in_place(res: *mut mlx_array, updated: mlx_array) -> c_int;

    pub fn node_mlx_operation_free(operation: *mut c_void);

    /// Sets `count` arrays to what the operation makes of other inputs. `shape`: the shapes of the arrays, one after the
    /// other, of `ndim` axes each.
    pub fn node_mlx_operation_apply(
        res: *mut mlx_array,
        count: usize,
        shape: *const c_int,
        ndim: *const usize,
        dtype: *const mlx_dtype,
        operation: *mut c_void,
        inputs: *const mlx_array,
        input_count: usize,
    ) -> c_int;
}
