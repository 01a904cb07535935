// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Filters of log-probabilities.
//!
//! The likeliest tokens are found without sorting all: what tokens weigh is summed by intervals of log-probabilities, and
//! only those in the interval that the last one to keep is in are sorted.

use super::math::{EXP_COST, exp};
use crate::{
    Kernels,
    simd::{Kernel, Simd, dispatch},
    tensor::Tensor,
};

/// Numbers that are summed by themselves, whatever the number of threads.
const PART: usize = 16 * 1024;
/// Multiplications that take as long as a look at a number.
const SCAN_COST: usize = 4;
/// From 0 downwards; the last one has no end.
const INTERVALS: usize = 2048;
/// In a unit of the natural logarithm: few tokens share an interval even where all are almost equally likely.
const PER_UNIT: f32 = 64.0;

/// Which tokens to keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keep {
    /// The smallest set of likeliest tokens whose probability reaches this part of all, and all that tie with its last.
    Share(f32),
    /// That many of the likeliest tokens.
    Count(usize),
}

impl Keep {
    fn weight(self, logprob: f32) -> f64 {
        match self {
            Self::Share(_) => f64::from(logprob).exp(),
            Self::Count(_) => 1.0,
        }
    }
}

impl Kernels {
    /// Sets the other tokens to -infinity; logprobs: (…, D) → (…, D), row by row
    ///
    /// # Panics
    /// If `y` does not have this size.
    pub fn keep(&self, keep: Keep, logprobs: Tensor<'_>, y: &mut [f32]) {
        let width = logprobs.shape()[3];
        assert!(y.len() == logprobs.rows() * width);
        for (row, y) in y.chunks_exact_mut(width.max(1)).enumerate() {
            self.keep_in_row(keep, logprobs.row_at(row), y);
        }
    }

    fn keep_in_row(&self, keep: Keep, x: &[f32], y: &mut [f32]) {
        let (threshold, surplus) = self.threshold(keep, x);
        self.pool.run_chunks(y, PART, x.len() * SCAN_COST, |index, y| {
            for (y, x) in y.iter_mut().zip(part(x, index)) {
                *y = if *x >= threshold { *x } else { f32::NEG_INFINITY };
            }
        });
        y.iter_mut().rev().filter(|y| **y == threshold).take(surplus).for_each(|y| *y = f32::NEG_INFINITY);
    }

    /// The least number to keep, and how many of those that are equal to it are too many.
    fn threshold(&self, keep: Keep, x: &[f32]) -> (f32, usize) {
        let parts = x.len().div_ceil(PART);
        let mut sums_of_parts = vec![[0.0; INTERVALS]; parts];
        self.pool.run_chunks(&mut sums_of_parts, 1, x.len() * EXP_COST, |index, sums| {
            sums.iter_mut().for_each(|sums| dispatch(self.set, Sum { keep, x: part(x, index), sums }));
        });
        let mut sums = [0.0; INTERVALS];
        sums_of_parts.iter().for_each(|part| sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part));
        let goal = match keep {
            Keep::Share(share) => f64::from(share) * sums.iter().sum::<f64>(),
            Keep::Count(count) => count as f64,
        };
        let (mut last, mut kept) = (0, 0.0);
        while last + 1 < INTERVALS && kept + sums[last] < goal {
            kept += sums[last];
            last += 1;
        }
        let mut near = vec![Vec::new(); parts];
        self.pool.run_chunks(&mut near, 1, x.len() * SCAN_COST, |index, near| {
            let all = part(x, index).iter().copied();
            near.iter_mut().for_each(|near| near.extend(all.clone().filter(|x| interval(*x) == last)));
        });
        let mut near = near.concat();
        near.sort_unstable_by(|a, b| b.total_cmp(a));
        let place = near.iter().position(|x| {
            kept += keep.weight(*x);
            kept >= goal
        });
        // Rounding may leave a bit to be reached.
        let place = place.unwrap_or(near.len().saturating_sub(1));
        let threshold = near.get(place).copied().unwrap_or(f32::NEG_INFINITY);
        match keep {
            Keep::Share(_) => (threshold, 0),
            Keep::Count(_) => (threshold, near.iter().skip(place + 1).take_while(|x| **x == threshold).count()),
        }
    }
}

fn part(x: &[f32], index: usize) -> &[f32] {
    let rest = &x[index * PART..];
    &rest[..PART.min(rest.len())]
}

/// Added to a number from 0 to 2^22, it leaves the nearest integer in the last bits.
const MAGIC: f32 = 8_388_608.0;

/// The index of a number's interval.
fn interval(x: f32) -> usize {
    index((x * -PER_UNIT).max(0.0).min((INTERVALS - 1) as f32) + MAGIC)
}

fn index(shifted: f32) -> usize {
    shifted.to_bits() as usize % INTERVALS
}

/// Adds what numbers weigh to the sums of their intervals.
struct Sum<'a> {
    keep: Keep,
    x: &'a [f32],
    sums: &'a mut [f64; INTERVALS],
}

impl Kernel for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { keep, x, sums } = self;
        let (mut weights, mut shifted) = ([1.0; 16], [0.0; 16]);
        for part in x.chunks(S::LANES) {
            let mut padded = [0.0; 16];
            padded[..part.len()].copy_from_slice(part);
            let x = simd.load(&padded);
            if matches!(keep, Keep::Share(_)) {
                simd.store(exp(simd, x), &mut weights);
            }
            let scaled = simd.max(simd.mul(x, simd.splat(-PER_UNIT)), simd.splat(0.0));
            let scaled = simd.min(scaled, simd.splat((INTERVALS - 1) as f32));
            simd.store(simd.add(scaled, simd.splat(MAGIC)), &mut shifted);
            for (weight, shifted) in weights.iter().zip(&shifted).take(part.len()) {
                sums[index(*shifted)] += f64::from(*weight);
            }
        }
    }
}
