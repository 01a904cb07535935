// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The logarithm of a sum of exponentials.

use super::math::{EXP_COST, exp, largest};
use crate::{
    Kernels,
    simd::{Kernel, Simd, dispatch},
    tensor::Tensor,
};

/// Numbers that are summed by themselves, whatever the number of threads.
const PART: usize = 16 * 1024;

impl Kernels {
    /// `log(sum(exp(x)))` of each row; x: (…, D) → (…,)
    ///
    /// # Panics
    /// If `y` does not have this size.
    pub fn logsumexp(&self, x: Tensor<'_>, y: &mut [f32]) {
        assert!(y.len() == x.rows());
        let parts = x.shape()[3].div_ceil(PART);
        let mut sums = vec![(0.0f32, 0.0f64); parts * x.rows()];
        let cost = x.rows() * x.shape()[3] * EXP_COST;
        self.pool.run_chunks(&mut sums, 1, cost, |task, sum| {
            let row = x.row_at(task / parts);
            let start = task % parts * PART;
            sum.fill(dispatch(self.set, Sum(&row[start..(start + PART).min(row.len())])));
        });
        for (y, parts) in y.iter_mut().zip(sums.chunks(parts.max(1))) {
            let largest = parts.iter().fold(f32::NEG_INFINITY, |largest, (part, _)| largest.max(*part));
            if largest.is_infinite() {
                // All are -infinity, or one is infinity; NaN among them is in a sum.
                *y = parts
                    .iter()
                    .fold(largest, |largest, (part, sum)| if sum.is_nan() { f32::NAN } else { largest.max(*part) });
                continue;
            }
            let sum: f64 = parts.iter().map(|(part, sum)| sum * f64::from(part - largest).exp()).sum();
            *y = (f64::from(largest) + sum.ln()) as f32;
        }
    }
}

/// The largest number, and the sum of e^(x - largest).
struct Sum<'a>(&'a [f32]);

impl Kernel for Sum<'_> {
    type Output = (f32, f64);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> (f32, f64) {
        let largest = largest(simd, self.0);
        if largest.is_infinite() {
            let has_nan = self.0.iter().any(|x| x.is_nan());
            return (largest, if has_nan { f64::NAN } else { 0.0 });
        }
        let shift = simd.splat(largest);
        let mut sum = simd.splat(0.0);
        let parts = self.0.chunks_exact(S::LANES);
        let rest = parts.remainder();
        for part in parts {
            sum = simd.add(sum, exp(simd, simd.sub(simd.load(part), shift)));
        }
        let rest: f64 = rest.iter().map(|x| f64::from(x - largest).exp()).sum();
        (largest, f64::from(simd.sum(sum)) + rest)
    }
}
