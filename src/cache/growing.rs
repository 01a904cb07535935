// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/cache.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The buffer that the caches without a fixed size are made of.

use mlx_rs::{Array, ops};

use super::dims;
use crate::{error::Result, mlx};

/// Buffers grow by this number of tokens at a time, so that most steps write in place.
pub const STEP: i32 = 256;

/// An array of (B, H, capacity, D) that grows along its third axis.
#[derive(Clone, Default)]
pub struct Growing(Option<Array>);

impl Growing {
    /// Creates a buffer from an array that is used completely, or an empty one.
    pub fn of(array: Option<Array>) -> Self {
        Self(array)
    }

    /// Writes `update` after the first `used` tokens, and returns everything up to its end, (B, H, used + L, D).
    pub fn append(&mut self, update: &Array, used: i32) -> Result<Array> {
        let [batch, heads, length, dims] = dims(update)?;
        let end = used + length;
        let buffer = match self.0.take() {
            Some(buffer) if end <= mlx::dim(&buffer, 2) => buffer,
            old => {
                let room = (STEP + length - 1) / STEP * STEP;
                let new = ops::zeros_dtype(&[batch, heads, room, dims], update.dtype())?;
                match old {
                    None => new,
                    Some(old) => ops::concatenate(&[mlx::slice_axis(&old, 2, 0, used)?, new], 2)?,
                }
            }
        };
        let buffer = mlx::slice_update(&buffer, update, &[0, 0, used, 0], &[batch, heads, end, dims])?;
        let seen = mlx::slice_axis(&buffer, 2, 0, end)?;
        self.0 = Some(buffer);
        Ok(seen)
    }

    /// Keeps the tokens from `start` to `end`.
    pub fn keep(&mut self, start: i32, end: i32) -> Result<()> {
        if let Some(buffer) = self.0.take() {
            self.0 = Some(mlx::slice_axis(&buffer, 2, start, end)?);
        }
        Ok(())
    }

    pub fn array(&self) -> Option<&Array> {
        self.0.as_ref()
    }
}
