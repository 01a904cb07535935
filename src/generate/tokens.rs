// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Token ids on their way into a model.

use mlx_rs::Array;

use crate::error::{Error, Result};

/// Checks that there is an embedding for each id: MLX would read beyond the table. `name`: that of the id at an index.
///
/// # Errors
/// `OutOfRange`
pub fn check_ids(name: impl Fn(usize) -> String, ids: impl IntoIterator<Item = u32>, vocab_size: usize) -> Result<()> {
    match ids.into_iter().enumerate().find(|(_, id)| *id as usize >= vocab_size) {
        None => Ok(()),
        Some((index, id)) => Err(Error::OutOfRange {
            name: name(index),
            message: format!("expected a token id below the vocabulary size {vocab_size}, got {id}"),
        }),
    }
}

/// ids → (1, L)
pub fn token_array(ids: &[u32]) -> Array {
    Array::from_slice(ids, &[1, length(ids)])
}

pub fn length(ids: &[u32]) -> i32 {
    i32::try_from(ids.len()).unwrap_or(i32::MAX)
}
