// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Leaves only the tokens of a set.

use crate::{
    Kernels,
    simd::{Kernel, Simd, dispatch},
    tensor::Tensor,
};

/// Tokens in a word of a set.
const BITS: usize = u32::BITS as usize;

impl Kernels {
    /// Sets tokens whose bit in `set` is 0, or that it does not reach, to -infinity; logits: (…, D) → (…, D), row by row
    ///
    /// # Panics
    /// If `y` does not have this size.
    pub fn allow(&self, set: &[u32], logits: Tensor<'_>, y: &mut [f32]) {
        let width = logits.shape()[3];
        assert!(y.len() == logits.rows() * width);
        for (row, y) in y.chunks_exact_mut(width.max(1)).enumerate() {
            dispatch(self.set, Allow { set, logits: logits.row_at(row), y });
        }
    }
}

struct Allow<'a> {
    set: &'a [u32],
    logits: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Allow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { set, logits, y } = self;
        let words = set.iter().copied().chain(std::iter::repeat(0));
        for ((y, logits), word) in y.chunks_mut(BITS).zip(logits.chunks(BITS)).zip(words) {
            for (bit, (y, logit)) in y.iter_mut().zip(logits).enumerate() {
                *y = if word >> bit & 1 == 1 { *logit } else { f32::NEG_INFINITY };
            }
        }
    }
}
