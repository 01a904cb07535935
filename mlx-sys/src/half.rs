// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The half-precision part of mlx-c's array.h, which its headers declare on Arm only. Elsewhere native/half.cpp
//! defines these functions, so that the Rust side looks the same everywhere.

use crate::mlx_array;

/// IEEE half precision, as its bits.
#[repr(transparent)]
#[derive(Debug, Default, Copy, Clone, PartialEq)]
pub struct float16_t(pub u16);

/// bfloat16, as its bits.
pub type bfloat16_t = u16;

extern "C" {
    pub fn mlx_array_item_float16(res: *mut float16_t, arr: mlx_array) -> ::std::os::raw::c_int;
    pub fn mlx_array_item_bfloat16(res: *mut bfloat16_t, arr: mlx_array) -> ::std::os::raw::c_int;
    pub fn mlx_array_data_float16(arr: mlx_array) -> *const float16_t;
    pub fn mlx_array_data_bfloat16(arr: mlx_array) -> *const bfloat16_t;
}
