// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/cache.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The buffer that the caches without a fixed size are made of.

use std::sync::Arc;

use mlx_rs::{Array, ops};

use super::dims;
use crate::{error::Result, mlx};

/// Buffers grow by this number of tokens at a time, so that most steps write in place.
pub const STEP: i32 = 256;

/// An array of (B, H, capacity, D) that grows along its third axis.
#[derive(Clone, Default)]
pub struct Growing {
    buffer: Option<Array>,
    /// Shared with the clones that have the same buffer.
    owner: Arc<()>,
    /// Where the tokens end that passes may still read.
    end: i32,
}

impl Growing {
    /// Creates a buffer from an array that is used completely, or an empty one.
    pub fn of(array: Option<Array>) -> Self {
        let end = array.as_ref().map_or(0, |array| mlx::dim(array, 2));
        Self { buffer: array, owner: Arc::default(), end }
    }

    /// Writes `update` after the first `used` tokens, and returns everything up to its end, (B, H, used + L, D).
    pub fn append(&mut self, update: &Array, used: i32) -> Result<Array> {
        let [batch, heads, length, dims] = dims(update)?;
        let end = used + length;
        let is_shared = Arc::strong_count(&self.owner) > 1;
        let (buffer, is_unread) = match self.buffer.take() {
            Some(buffer) if end <= mlx::dim(&buffer, 2) => (buffer, !is_shared && used >= self.end),
            old => {
                let room = (STEP + length - 1) / STEP * STEP;
                let new = ops::zeros_dtype(&[batch, heads, room, dims], update.dtype())?;
                let buffer = match old {
                    None => new,
                    Some(old) => ops::concatenate(&[mlx::slice_axis(&old, 2, 0, used)?, new], 2)?,
                };
                (buffer, false)
            }
        };
        // Passes that are still computed may hold the buffer all the same.
        let write = if is_unread { mlx::write } else { mlx::slice_update };
        let buffer = write(&buffer, update, &[0, 0, used, 0], &[batch, heads, end, dims])?;
        let seen = mlx::slice_axis(&buffer, 2, 0, end)?;
        if is_shared {
            self.owner = Arc::default();
        }
        self.buffer = Some(buffer);
        self.end = end;
        Ok(seen)
    }

    /// Keeps the tokens from `start` to `end`.
    pub fn keep(&mut self, start: i32, end: i32) -> Result<()> {
        if let Some(buffer) = self.buffer.take() {
            self.buffer = Some(mlx::slice_axis(&buffer, 2, start, end)?);
            self.end = end - start;
        }
        Ok(())
    }

    pub fn array(&self) -> Option<&Array> {
        self.buffer.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tests::numbers;

    fn values(array: &Array) -> Vec<f32> {
        array.contiguous().unwrap().to_vec_exact::<f32>().unwrap()
    }

    /// Where an array lies, once it has been computed.
    fn place(growing: &Growing) -> *const f32 {
        let array = growing.array().unwrap();
        array.eval().unwrap();
        // SAFETY: the array is valid, and of this dtype.
        unsafe { mlx_sys::mlx_array_data_float32(array.as_ptr()) }
    }

    #[test]
    fn a_buffer_stays_where_it_is_while_others_read_it() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let mut growing = Growing::default();
        let seen = growing.append(&numbers(0, 3), 0).unwrap();
        let first = place(&growing);
        seen.eval().unwrap();
        let more = growing.append(&numbers(3, 2), 3).unwrap();
        assert_eq!(place(&growing), first);
        assert_eq!(values(&seen), [0.0, 1.0, 2.0]);
        assert_eq!(values(&more), [0.0, 1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn clones_do_not_see_what_the_others_append() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let mut growing = Growing::default();
        growing.append(&numbers(0, 2), 0).unwrap().eval().unwrap();
        let place_of_both = place(&growing);
        let (mut first, mut second) = (growing.clone(), growing.clone());
        drop(growing);
        let of_first = first.append(&numbers(10, 1), 2).unwrap();
        assert_ne!(place(&first), place_of_both);
        // Nobody else has it now.
        let of_second = second.append(&numbers(20, 2), 2).unwrap();
        assert_eq!(place(&second), place_of_both);
        assert_eq!(values(&of_first), [0.0, 1.0, 10.0]);
        assert_eq!(values(&of_second), [0.0, 1.0, 20.0, 21.0]);
        assert_eq!(values(&first.append(&numbers(11, 1), 3).unwrap()), [0.0, 1.0, 10.0, 11.0]);
        assert_eq!(values(&mlx::slice_axis(second.array().unwrap(), 2, 0, 4).unwrap()), [0.0, 1.0, 20.0, 21.0]);
    }
}
