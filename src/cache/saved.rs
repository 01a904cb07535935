// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Checks of arrays from files before caches take them over.

use mlx_rs::Array;

use super::growing::Growing;

/// Puts arrays into the buffers of a cache that has seen a token, if they are like its own, with `length` tokens.
pub fn replace(buffers: Vec<&mut Growing>, arrays: Vec<Array>, length: i32) -> bool {
    let like: Vec<Option<&Array>> = buffers.iter().map(|buffer| buffer.array()).collect();
    let fits = like.len() == arrays.len()
        && like.iter().zip(&arrays).all(|(like, array)| like.is_some_and(|like| is_like(array, like, Some(length))));
    if fits {
        buffers.into_iter().zip(arrays).for_each(|(buffer, array)| *buffer = Growing::of(Some(array)));
    }
    fits
}

/// Whether an array has the dtype and shape of another one, but for `length` tokens on its third axis, if that is given.
pub fn is_like(array: &Array, like: &Array, length: Option<i32>) -> bool {
    let mut shape = like.shape().to_vec();
    if let (Some(length), Some(tokens)) = (length, shape.get_mut(2)) {
        *tokens = length;
    }
    array.dtype() == like.dtype() && array.shape() == shape
}
