// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Scaled dot-product attention.
//!
//! Where a vector can be filled with queries that share their keys (those of several tokens, and of several heads with
//! grouped queries), each lane has a query of its own, and a key or value is read once for all of them (`lanes`). Fewer
//! queries, as at a step, are taken by twos, with their features in lanes (`few`).

mod few;
mod lanes;

use std::ops::Range;

use crate::{
    Kernels,
    pool::Shares,
    simd::{Kernel, Simd, dispatch},
    tensor::Tensor,
};

/// Of all instruction sets: the lanes of a vector.
const MAX_LANES: usize = 16;

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
                self.few(simd, queries);
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
}
