// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Few queries: their features in lanes.

use std::ops::Range;

use super::{super::math::exp, MAX_LANES, Task};
use crate::simd::Simd;

/// Keys that are read at a time, so that all queries find them in the cache.
const CHUNK: usize = 64;
/// Queries that a key or value is loaded for at a time.
const PAIR: usize = 2;
/// Keys that are multiplied with a pair at a time.
const KEYS: usize = 4;
/// Vectors of features that are summed with the weights of a pair at a time.
const VECTORS: usize = 4;

impl Task<'_> {
    #[inline(always)]
    pub(super) fn few<S: Simd>(&self, simd: S, queries: Range<usize>) {
        let keys = self.limit(self.place(queries.end - 1).1);
        let stride = keys.next_multiple_of(S::LANES);
        // [query][key]
        let mut scores = vec![f32::MIN; queries.len() * stride];
        for start in (0..keys).step_by(CHUNK) {
            let chunk = start..(start + CHUNK).min(keys);
            for (first, scores) in queries.clone().step_by(PAIR).zip(scores.chunks_mut(PAIR * stride)) {
                if scores.len() > stride {
                    self.score::<S, PAIR>(simd, first, chunk.clone(), scores);
                } else {
                    self.score::<S, 1>(simd, first, chunk.clone(), scores);
                }
            }
        }
        for (query, scores) in queries.clone().zip(scores.chunks_exact_mut(stride)) {
            self.mask(query, &mut scores[..keys], 1);
            self.normalize(simd, query, scores, keys);
            // SAFETY: there is no other reference to the row.
            unsafe { self.output(query) }.fill(0.0);
        }
        for start in (0..keys).step_by(CHUNK) {
            let chunk = start..(start + CHUNK).min(keys);
            for (first, weights) in queries.clone().step_by(PAIR).zip(scores.chunks(PAIR * stride)) {
                if weights.len() > stride {
                    self.add_values::<S, PAIR>(simd, first, chunk.clone(), weights);
                } else {
                    self.add_values::<S, 1>(simd, first, chunk.clone(), weights);
                }
            }
        }
    }

    /// The scaled scores of some keys. `scores`: \[query]\[key]
    #[inline(always)]
    fn score<S: Simd, const QUERIES: usize>(&self, simd: S, first: usize, keys: Range<usize>, scores: &mut [f32]) {
        let stride = scores.len() / QUERIES;
        let mut queries: [&[f32]; QUERIES] = [&[]; QUERIES];
        for (i, row) in queries.iter_mut().enumerate() {
            let (head, token) = self.place(first + i);
            *row = self.attention.queries.row([self.batch, head, token]);
        }
        let dims = self.attention.queries.shape()[3];
        let whole = dims / S::LANES * S::LANES;
        for start in keys.clone().step_by(KEYS) {
            let mut rows: [&[f32]; KEYS] = [&[]; KEYS];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = self.key((start + i).min(keys.end - 1));
            }
            let mut sums = [[simd.splat(0.0); KEYS]; QUERIES];
            for at in (0..whole).step_by(S::LANES) {
                let mut x = [simd.splat(0.0); QUERIES];
                for i in 0..QUERIES {
                    // SAFETY: queries have `dims` features, and keys too.
                    x[i] = simd.load(unsafe { queries[i].get_unchecked(at..at + S::LANES) });
                }
                for k in 0..KEYS {
                    // SAFETY: as above.
                    let key = simd.load(unsafe { rows[k].get_unchecked(at..at + S::LANES) });
                    for i in 0..QUERIES {
                        sums[i][k] = simd.mul_add(x[i], key, sums[i][k]);
                    }
                }
            }
            for i in 0..QUERIES {
                for k in 0..KEYS.min(keys.end - start) {
                    let mut score = simd.sum(sums[i][k]);
                    for at in whole..dims {
                        score += queries[i][at] * rows[k][at];
                    }
                    scores[i * stride + start + k] = score * self.attention.scale;
                }
            }
        }
    }

    /// Makes the scores of a query weights, which add up to 1 together with the sink's.
    #[inline(always)]
    fn normalize<S: Simd>(&self, simd: S, query: usize, scores: &mut [f32], keys: usize) {
        let sink = self.attention.sinks.map(|sinks| sinks[self.place(query).0]);
        let mut largest = simd.splat(sink.unwrap_or(f32::MIN));
        for scores in scores.chunks_exact(S::LANES) {
            largest = simd.max(simd.load(scores), largest);
        }
        let mut lanes = [f32::MIN; MAX_LANES];
        simd.store(largest, &mut lanes);
        let largest = lanes.iter().fold(f32::MIN, |a, &b| if b > a { b } else { a });
        let shift = simd.splat(largest);
        for scores in scores.chunks_exact_mut(S::LANES) {
            let weight = exp(simd, simd.sub(simd.load(scores), shift));
            simd.store(weight, scores);
        }
        // What fills the last vector is no key.
        scores[keys..].fill(0.0);
        let mut sum = simd.splat(0.0);
        for weights in scores.chunks_exact(S::LANES) {
            sum = simd.add(sum, simd.load(weights));
        }
        let sink = sink.map_or(0.0, |sink| (sink - largest).exp());
        let factor = simd.splat(1.0 / (simd.sum(sum) + sink));
        for weights in scores.chunks_exact_mut(S::LANES) {
            let weight = simd.mul(simd.load(weights), factor);
            simd.store(weight, weights);
        }
    }

    /// Adds the weighted values of some keys to the outputs. `weights`: \[query]\[key]
    #[inline(always)]
    fn add_values<S: Simd, const QUERIES: usize>(&self, simd: S, first: usize, keys: Range<usize>, weights: &[f32]) {
        let stride = weights.len() / QUERIES;
        let dims = self.attention.values.shape()[3];
        let mut feature = 0;
        while feature + VECTORS * S::LANES <= dims {
            self.add_features::<S, QUERIES, VECTORS>(simd, first, feature, keys.clone(), weights);
            feature += VECTORS * S::LANES;
        }
        while feature + S::LANES <= dims {
            self.add_features::<S, QUERIES, 1>(simd, first, feature, keys.clone(), weights);
            feature += S::LANES;
        }
        for i in 0..QUERIES {
            // SAFETY: there is no other reference to the row.
            let y = unsafe { self.output(first + i) };
            for at in feature..dims {
                for key in keys.clone() {
                    y[at] += weights[i * stride + key] * self.value(key)[at];
                }
            }
        }
    }

    /// The same of `COUNT` vectors of features.
    #[inline(always)]
    fn add_features<S: Simd, const QUERIES: usize, const COUNT: usize>(
        &self,
        simd: S,
        first: usize,
        feature: usize,
        keys: Range<usize>,
        weights: &[f32],
    ) {
        let stride = weights.len() / QUERIES;
        let features = feature..feature + COUNT * S::LANES;
        let mut sums = [[simd.splat(0.0); COUNT]; QUERIES];
        for i in 0..QUERIES {
            // SAFETY: there is no other reference to the row.
            let y = unsafe { self.output(first + i) };
            for (sum, y) in sums[i].iter_mut().zip(y[features.clone()].chunks_exact(S::LANES)) {
                *sum = simd.load(y);
            }
        }
        for key in keys {
            let values = &self.value(key)[features.clone()];
            let mut weight = [simd.splat(0.0); QUERIES];
            for i in 0..QUERIES {
                weight[i] = simd.splat(weights[i * stride + key]);
            }
            for (vector, values) in values.chunks_exact(S::LANES).enumerate() {
                let value = simd.load(values);
                for i in 0..QUERIES {
                    sums[i][vector] = simd.mul_add(weight[i], value, sums[i][vector]);
                }
            }
        }
        for i in 0..QUERIES {
            // SAFETY: there is no other reference to the row.
            let y = unsafe { self.output(first + i) };
            for (sum, y) in sums[i].iter().zip(y[features.clone()].chunks_exact_mut(S::LANES)) {
                simd.store(*sum, y);
            }
        }
    }
}
