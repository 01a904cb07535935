// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What is still to be computed (native/graph.cpp).

use core::ffi::{c_char, c_int};

use crate::mlx_vector_array;

extern "C" {
    /// The arrays that the primitive of that name will compute, among those and what they are computed from.
    pub fn node_mlx_pending(
        res: *mut mlx_vector_array,
        arrays: mlx_vector_array,
        primitive: *const c_char,
    ) -> c_int;
}
