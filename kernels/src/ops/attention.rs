// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Scaled dot-product attention.
//!
//! Where a vector can be filled with queries that share their keys (those of several tokens, and of several heads with
//! grouped queries), each lane has a query of its own, and a key or value is read once for all of them. Fewer queries,
//! as at a step, are taken one by one, with their features in lanes.

use std::ops::Range;

use super::math::exp;
use crate::{
    Kernels,
    pool::Shares,
    simd::{Kernel, Simd, dispatch},
    tensor::Tensor,
};

/// Of all instruction sets: the lanes of a vector.
const MAX_LANES: usize = 16;
/// Keys, or features of values, that are multiplied at a time with the queries in lanes.
const BLOCK: usize = 8;
/// Keys whose values are summed at a time, so that several queries find them in the cache.
const CHUNK: usize = 64;

/// Which keys a query looks at. Arrays are broadcast to (B, H, L, S).
#[derive(Debug, Clone, Copy)]
pub enum Mask<'a> {
    All,
    /// The last query looks at all keys, each one before it at one less.
    Causal,
    /// Those that are not 0.
    Seen(Tensor<'a, u8>),
    /// What is added to scores.
    Added(Tensor<'a>),
}

/// The operands of attention.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// (B, H, L, D)
    pub queries: Tensor<'a>,
    /// (B, KV heads, S, D), of which H is a multiple
    pub keys: Tensor<'a>,
    /// (B, KV heads, S, Dv)
    pub values: Tensor<'a>,
    pub scale: f32,
    pub mask: Mask<'a>,
    /// (H,): the score of one more key for each head, whose value is 0
    pub sinks: Option<&'a [f32]>,
}

impl Kernels {
    /// `softmax(queries @ keys.T * scale + mask) @ values` → (B, H, L, Dv), row by row. A query that looks at no key gets
    /// the mean of all values, as in MLX.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn attention(&self, attention: &Attention<'_>, y: &mut [f32]) {
        let Attention { queries, keys, values, mask, sinks, .. } = attention;
        let [batch, heads, length, dims] = queries.shape();
        let [_, kv_heads, seen, value_dims] = values.shape();
        assert!(
            keys.shape() == [batch, kv_heads, seen, dims]
                && values.shape()[0] == batch
                && heads.is_multiple_of(kv_heads)
        );
        assert!(y.len() == batch * heads * length * value_dims && sinks.is_none_or(|sinks| sinks.len() == heads));
        let scores = [batch, heads, length, seen];
        assert!(match mask {
            Mask::All => true,
            Mask::Causal => length <= seen,
            Mask::Seen(mask) => mask.shape() == scores,
            Mask::Added(mask) => mask.shape() == scores,
        });
        // A task: the queries of some tokens, of all heads that share a KV head.
        let shared = heads / kv_heads;
        let tokens = MAX_LANES.div_ceil(shared).min(length.max(1));
        let parts = length.div_ceil(tokens);
        let cost = scores.iter().product::<usize>() * (dims + value_dims);
        let y = Shares::new(y);
        self.pool.run(batch * kv_heads * parts, cost, |task| {
            // The last tokens look at the most keys: they come first, so that no thread is left with them.
            let part = parts - 1 - task % parts;
            let head = task / parts;
            let tokens = part * tokens..((part + 1) * tokens).min(length);
            dispatch(
                self.set,
                Task { attention, y: &y, batch: head / kv_heads, kv_head: head % kv_heads, tokens, shared },
            );
        });
    }
}

struct Task<'a> {
    attention: &'a Attention<'a>,
    y: &'a Shares<'a, f32>,
    batch: usize,
    kv_head: usize,
    tokens: Range<usize>,
    /// Heads that share the KV head.
    shared: usize,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let count = self.tokens.len() * self.shared;
        for first in (0..count).step_by(S::LANES) {
            let queries = first..(first + S::LANES).min(count);
            if queries.len() >= S::LANES / 2 {
                self.in_lanes(simd, queries);
            } else {
                self.one_by_one(simd, queries);
            }
        }
    }
}

impl Task<'_> {
    /// The head and token of a query.
    #[inline(always)]
    fn place(&self, query: usize) -> (usize, usize) {
        (self.kv_head * self.shared + query % self.shared, self.tokens.start + query / self.shared)
    }

    /// The number of keys up to the last one that a token may look at.
    #[inline(always)]
    fn limit(&self, token: usize) -> usize {
        let [_, _, length, _] = self.attention.queries.shape();
        let [_, _, seen, _] = self.attention.keys.shape();
        if matches!(self.attention.mask, Mask::Causal) { seen - length + token + 1 } else { seen }
    }

    /// Masks the scores of a query, which lie `stride` apart.
    #[inline(always)]
    fn mask(&self, query: usize, scores: &mut [f32], stride: usize) {
        let (head, token) = self.place(query);
        let scores = scores.iter_mut().step_by(stride);
        match self.attention.mask {
            Mask::All => {}
            Mask::Causal => scores.skip(self.limit(token)).for_each(|score| *score = f32::MIN),
            Mask::Seen(mask) => {
                for (score, &seen) in scores.zip(mask.row([self.batch, head, token])) {
                    *score = if seen == 0 { f32::MIN } else { *score };
                }
            }
            Mask::Added(mask) => {
                scores.zip(mask.row([self.batch, head, token])).for_each(|(score, added)| *score += added);
            }
        }
    }

    /// The row of y of a query.
    ///
    /// # Safety
    /// No other reference to it exists.
    #[allow(clippy::mut_from_ref)]
    #[inline(always)]
    unsafe fn output(&self, query: usize) -> &mut [f32] {
        let (head, token) = self.place(query);
        let [_, heads, length, _] = self.attention.queries.shape();
        let dims = self.attention.values.shape()[3];
        let row = (self.batch * heads + head) * length + token;
        // SAFETY: each query belongs to one task, which has no other reference to it.
        unsafe { self.y.part(row * dims..(row + 1) * dims) }
    }

    #[inline(always)]
    fn key(&self, index: usize) -> &[f32] {
        self.attention.keys.row([self.batch, self.kv_head, index])
    }

    #[inline(always)]
    fn value(&self, index: usize) -> &[f32] {
        self.attention.values.row([self.batch, self.kv_head, index])
    }

    /// One query a lane; lanes without one repeat the last.
    #[inline(always)]
    fn in_lanes<S: Simd>(&self, simd: S, queries: Range<usize>) {
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
        for feature in (0..value_dims).step_by(BLOCK) {
            let count = BLOCK.min(value_dims - feature);
            let mut sums = [simd.splat(0.0); BLOCK];
            for (key, weights) in scores.chunks_exact(S::LANES).enumerate() {
                let weights = simd.load(weights);
                let value = &self.value(key)[feature..feature + count];
                if let Ok(value) = <&[f32; BLOCK]>::try_from(value) {
                    for i in 0..BLOCK {
                        sums[i] = simd.mul_add(simd.splat(value[i]), weights, sums[i]);
                    }
                } else {
                    for (sum, &value) in sums.iter_mut().zip(value) {
                        *sum = simd.mul_add(simd.splat(value), weights, *sum);
                    }
                }
            }
            let mut line = [0.0; MAX_LANES];
            for (i, sum) in sums.into_iter().enumerate().take(count) {
                simd.store(simd.mul(sum, factor), &mut line);
                for query in queries.clone() {
                    // SAFETY: there is no other reference to the row.
                    let y = unsafe { self.output(query) };
                    y[feature + i] = line[query - queries.start];
                }
            }
        }
    }

    /// Features in lanes.
    #[inline(always)]
    fn one_by_one<S: Simd>(&self, simd: S, queries: Range<usize>) {
        let Attention { queries: all, sinks, scale, .. } = self.attention;
        let keys = self.limit(self.place(queries.end - 1).1);
        let stride = keys.next_multiple_of(S::LANES);
        // [query][key]
        let mut scores = vec![f32::MIN; queries.len() * stride];
        for chunk in (0..keys).step_by(CHUNK) {
            let chunk = chunk..(chunk + CHUNK).min(keys);
            for (query, scores) in queries.clone().zip(scores.chunks_exact_mut(stride)) {
                let (head, token) = self.place(query);
                let x = all.row([self.batch, head, token]);
                for key in chunk.clone() {
                    scores[key] = dot(simd, x, self.key(key)) * scale;
                }
            }
        }
        let mut factors = [0.0; MAX_LANES];
        for (i, scores) in scores.chunks_exact_mut(stride).enumerate() {
            let query = queries.start + i;
            self.mask(query, &mut scores[..keys], 1);
            let sink = sinks.map_or(f32::MIN, |sinks| sinks[self.place(query).0]);
            let mut lanes = [f32::MIN; MAX_LANES];
            let mut largest = simd.splat(sink);
            for scores in scores.chunks_exact(S::LANES) {
                largest = simd.max(simd.load(scores), largest);
            }
            simd.store(largest, &mut lanes);
            let largest = lanes.iter().fold(f32::MIN, |a, &b| if b > a { b } else { a });
            let shift = simd.splat(largest);
            let mut sum = simd.splat(0.0);
            for part in scores.chunks_exact_mut(S::LANES) {
                let weight = exp(simd, simd.sub(simd.load(part), shift));
                simd.store(weight, part);
            }
            // What fills the last vector is no key.
            scores[keys..].fill(0.0);
            for part in scores.chunks_exact(S::LANES) {
                sum = simd.add(sum, simd.load(part));
            }
            let sink = if sinks.is_some() { (sink - largest).exp() } else { 0.0 };
            factors[i] = 1.0 / (simd.sum(sum) + sink);
        }
        for query in queries.clone() {
            // SAFETY: there is no other reference to the row.
            let y = unsafe { self.output(query) };
            y.fill(0.0);
        }
        for chunk in (0..keys).step_by(CHUNK) {
            let chunk = chunk..(chunk + CHUNK).min(keys);
            for (query, scores) in queries.clone().zip(scores.chunks_exact(stride)) {
                // SAFETY: there is no other reference to the row.
                let y = unsafe { self.output(query) };
                self.weigh(simd, chunk.clone(), &scores[chunk.clone()], y);
            }
        }
        for (query, factor) in queries.zip(factors) {
            // SAFETY: there is no other reference to the row.
            let y = unsafe { self.output(query) };
            y.iter_mut().for_each(|y| *y *= factor);
        }
    }

    /// Adds the weighted values of some keys to y.
    #[inline(always)]
    fn weigh<S: Simd>(&self, simd: S, keys: Range<usize>, weights: &[f32], y: &mut [f32]) {
        let whole = y.len() / (4 * S::LANES) * (4 * S::LANES);
        for feature in (0..whole).step_by(4 * S::LANES) {
            let y = &mut y[feature..feature + 4 * S::LANES];
            let mut sums = [simd.splat(0.0); 4];
            for i in 0..4 {
                sums[i] = simd.load(&y[i * S::LANES..]);
            }
            for (key, &weight) in keys.clone().zip(weights) {
                let weight = simd.splat(weight);
                let value = &self.value(key)[feature..feature + 4 * S::LANES];
                for i in 0..4 {
                    sums[i] = simd.mul_add(weight, simd.load(&value[i * S::LANES..]), sums[i]);
                }
            }
            for i in 0..4 {
                simd.store(sums[i], &mut y[i * S::LANES..]);
            }
        }
        for feature in whole..y.len() {
            for (key, &weight) in keys.clone().zip(weights) {
                y[feature] += weight * self.value(key)[feature];
            }
        }
    }
}

#[inline(always)]
fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    let mut sums = [simd.splat(0.0); 2];
    let whole = a.len() / (2 * S::LANES) * (2 * S::LANES);
    for i in (0..whole).step_by(2 * S::LANES) {
        for (half, sum) in sums.iter_mut().enumerate() {
            let at = i + half * S::LANES;
            *sum = simd.mul_add(simd.load(&a[at..]), simd.load(&b[at..]), *sum);
        }
    }
    let rest: f32 = a[whole..].iter().zip(&b[whole..]).map(|(a, b)| a * b).sum();
    simd.sum(simd.add(sums[0], sums[1])) + rest
}
