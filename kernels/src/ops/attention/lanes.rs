// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Many queries: one in each lane.

use std::ops::Range;

use super::{super::math::exp, Attention, MAX_LANES, Task};
use crate::simd::Simd;

/// Keys, or features of values, that are multiplied at a time.
const BLOCK: usize = 8;

impl Task<'_> {
    /// One query a lane; lanes without one repeat the last.
    #[inline(always)]
    pub(super) fn in_lanes<S: Simd>(&self, simd: S, queries: Range<usize>) {
        let Attention { queries: all, sinks, scale, .. } = self.attention;
        let (dims, value_dims) = (all.shape()[3], self.attention.values.shape()[3]);
        let query_of = |lane: usize| (queries.start + lane).min(queries.end - 1);
        let keys = self.limit(self.place(queries.end - 1).1);

        // [feature][lane]
        let mut transposed = vec![0.0; dims * S::LANES];
        for lane in 0..S::LANES {
            let (head, token) = self.place(query_of(lane));
            let row = all.row([self.batch, head, token]);
            for (to, x) in transposed.chunks_exact_mut(S::LANES).zip(row) {
                to[lane] = x * scale;
            }
        }
        // [key][lane]
        let mut scores = vec![0.0; keys * S::LANES];
        for (block, scores) in scores.chunks_mut(BLOCK * S::LANES).enumerate() {
            let mut rows: [&[f32]; BLOCK] = [&[]; BLOCK];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = &self.key((block * BLOCK + i).min(keys - 1))[..dims];
            }
            let mut sums = [simd.splat(0.0); BLOCK];
            for (feature, x) in transposed.chunks_exact(S::LANES).enumerate() {
                let x = simd.load(x);
                for i in 0..BLOCK {
                    sums[i] = simd.mul_add(simd.splat(rows[i][feature]), x, sums[i]);
                }
            }
            for (to, sum) in scores.chunks_exact_mut(S::LANES).zip(sums) {
                simd.store(sum, to);
            }
        }
        for lane in 0..S::LANES {
            self.mask(query_of(lane), scores.get_mut(lane..).unwrap_or_default(), S::LANES);
        }
        let mut sink = [f32::MIN; MAX_LANES];
        if let Some(sinks) = sinks {
            for (lane, sink) in sink.iter_mut().enumerate().take(S::LANES) {
                *sink = sinks[self.place(query_of(lane)).0];
            }
        }
        let sink = simd.load(&sink);
        let mut largest = sink;
        for scores in scores.chunks_exact(S::LANES) {
            largest = simd.max(simd.load(scores), largest);
        }
        let mut sum = if sinks.is_some() { exp(simd, simd.sub(sink, largest)) } else { simd.splat(0.0) };
        for scores in scores.chunks_exact_mut(S::LANES) {
            let weight = exp(simd, simd.sub(simd.load(scores), largest));
            sum = simd.add(sum, weight);
            simd.store(weight, scores);
        }
        let factor = simd.div(simd.splat(1.0), sum);
        let mut feature = 0;
        while feature < value_dims {
            let count = BLOCK.min(value_dims - feature);
            let sums = if count == BLOCK {
                self.weighted::<S, BLOCK>(simd, &scores, feature)
            } else {
                let mut sums = [simd.splat(0.0); BLOCK];
                for (i, sum) in sums.iter_mut().enumerate().take(count) {
                    [*sum] = self.weighted::<S, 1>(simd, &scores, feature + i);
                }
                sums
            };
            let mut lines = [[0.0; MAX_LANES]; BLOCK];
            for (sum, line) in sums.into_iter().zip(&mut lines) {
                simd.store(simd.mul(sum, factor), line);
            }
            for (lane, query) in queries.clone().enumerate() {
                // SAFETY: there is no other reference to the row.
                let y = unsafe { self.output(query) };
                for (y, line) in y[feature..feature + count].iter_mut().zip(&lines) {
                    *y = line[lane];
                }
            }
            feature += count;
        }
    }

    /// Some features of the values, times the weights, summed over all keys. `weights`: \[key]\[lane]
    #[inline(always)]
    fn weighted<S: Simd, const FEATURES: usize>(&self, simd: S, weights: &[f32], feature: usize) -> [S::F; FEATURES] {
        let mut sums = [simd.splat(0.0); FEATURES];
        for (key, weights) in weights.chunks_exact(S::LANES).enumerate() {
            let weights = simd.load(weights);
            let value = &self.value(key)[feature..feature + FEATURES];
            for i in 0..FEATURES {
                sums[i] = simd.mul_add(simd.splat(value[i]), weights, sums[i]);
            }
        }
        sums
    }
}
