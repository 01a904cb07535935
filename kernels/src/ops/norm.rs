// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Root-mean-square normalization.

use crate::{
    InstructionSet, Kernels,
    simd::{Kernel, Simd, dispatch},
    tensor::Tensor,
};

/// `x / sqrt(mean(x²) + eps) * weight` of each row of D numbers; weight: (D,)
#[derive(Debug, Clone, Copy)]
pub struct RmsNorm<'a> {
    pub weight: Option<&'a [f32]>,
    pub eps: f32,
}

impl RmsNorm<'_> {
    pub(super) fn has_width(&self, dims: usize) -> bool {
        self.weight.is_none_or(|weight| weight.len() == dims)
    }

    /// Normalizes a row.
    pub(super) fn apply(&self, set: InstructionSet, x: &[f32], y: &mut [f32]) {
        dispatch(set, Norm { x, weight: self.weight, eps: self.eps, y });
    }
}

impl Kernels {
    /// x: (…, D) → (…, D), row by row
    ///
    /// # Panics
    /// If the slices do not have these sizes.
    pub fn rms_norm(&self, x: Tensor<'_>, norm: RmsNorm<'_>, y: &mut [f32]) {
        let dims = x.shape()[3];
        assert!(y.len() == x.rows() * dims && norm.has_width(dims));
        self.for_each_row(y, dims, 1, |row, y| norm.apply(self.set, x.row_at(row), y));
    }
}

struct Norm<'a> {
    x: &'a [f32],
    weight: Option<&'a [f32]>,
    eps: f32,
    y: &'a mut [f32],
}

impl Kernel for Norm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, weight, eps, y } = self;
        // Four sums, as each waits for its last addition.
        let mut sums = [simd.splat(0.0); 4];
        let mut parts = x.chunks_exact(4 * S::LANES);
        for part in parts.by_ref() {
            for i in 0..4 {
                let x = simd.load(&part[i * S::LANES..]);
                sums[i] = simd.mul_add(x, x, sums[i]);
            }
        }
        let sum = simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])));
        let sum = sum + parts.remainder().iter().map(|x| x * x).sum::<f32>();
        let factor = 1.0 / (sum / x.len() as f32 + eps).sqrt();
        match weight {
            Some(weight) => y.iter_mut().zip(x).zip(weight).for_each(|((y, x), weight)| *y = x * factor * weight),
            None => y.iter_mut().zip(x).for_each(|(y, x)| *y = x * factor),
        }
    }
}
