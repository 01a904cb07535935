// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What a token is drawn from, by our own kernels. Each function returns `None` where MLX's operations have to do.

use std::sync::Arc;

use cpu_kernels::{Keep, Kernels};
use mlx_rs::{Array, Dtype};

use super::{
    cpu::kernels,
    kernel::{Layout, run_kernel},
    transformer::{are_usable, tensor},
};
use crate::error::Result;

fn kernels_for(x: &Array) -> Option<Arc<Kernels>> {
    kernels().filter(|_| are_usable(&[x]))
}

/// Sets all but the likeliest tokens to −∞; logprobs: (…, vocabulary) → (…, vocabulary)
pub fn keep(keep: Keep, logprobs: &Array) -> Option<Result<Array>> {
    let kernels = kernels_for(logprobs)?;
    Some(run_kernel(Layout::Strided, &[logprobs], logprobs.shape(), move |inputs, y| {
        // SAFETY: it is an array of f32.
        kernels.keep(keep, unsafe { tensor(inputs, 0) }, y);
    }))
}

/// Sets all tokens to −∞ but those whose bits in `set`, of 32 tokens a word, are 1; logits: (…, vocabulary) → (…, vocabulary)
pub fn allow(set: &[u32], logits: &Array) -> Option<Result<Array>> {
    let (kernels, set) = (kernels_for(logits)?, set.to_vec());
    Some(run_kernel(Layout::Strided, &[logits], logits.shape(), move |inputs, y| {
        // SAFETY: it is an array of f32.
        kernels.allow(&set, unsafe { tensor(inputs, 0) }, y);
    }))
}

/// Draws a token by `logprobs * factor` and the noise of a key; logprobs: (1, vocabulary) → (1,)
pub fn draw(logprobs: &Array, factor: f32, key: u64) -> Option<Result<Array>> {
    let kernels = kernels_for(logprobs).filter(|_| matches!(logprobs.shape(), [1, _]))?;
    let token = run_kernel(Layout::Contiguous, &[logprobs], &[1], move |inputs, token| {
        // SAFETY: it is an array of f32.
        let logprobs = inputs.first().map_or(&[][..], |input| unsafe { input.elements() });
        token.fill(kernels.draw(logprobs, factor, key) as f32);
    });
    // A vocabulary is far smaller than 2^24, up to which f32 has all integers.
    Some(token.and_then(|token| Ok(token.as_dtype(Dtype::Uint32)?)))
}
