// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/sample_utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: top-p keeps ties whole.

//! Filters of log-probabilities, which set discarded tokens to −∞. All map (B, vocabulary) to (B, vocabulary).

use std::cell::RefCell;

use mlx_rs::{Array, Dtype, error::Exception, ops};

use crate::{
    error::Result,
    mlx::{self, Compiled, Keep},
};

// Each runs once per token, so operations are fused if possible.
thread_local! {
    static PROBABILITIES: Compiled = Compiled::new(probabilities, true);
    static MASSES: Compiled = Compiled::new(masses, true);
    static BEYOND: Compiled = Compiled::new(beyond, true);
    static SHORT: Compiled = Compiled::new(short, true);
    static KEEP_FROM: Compiled = Compiled::new(keep_from, true);
    static KEEP_THROUGH: Compiled = Compiled::new(keep_through, true);
}

fn probabilities(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    inputs.iter().map(|logprobs| logprobs.as_dtype(Dtype::Float32)?.exp()).collect()
}

/// [number of occurrences of each value, its probability] → the total probability of the value.
fn masses(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [counts, probabilities] = inputs else { return Ok(Vec::new()) };
    Ok(vec![counts.as_dtype(Dtype::Float32)?.multiply(probabilities)?])
}

/// [mass above each token, mass above the least likely one, its own, top_p] → which tokens are outside top_p.
fn beyond(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [mass_above, rest, least, top_p] = inputs else { return Ok(Vec::new()) };
    Ok(vec![mass_above.ge(rest.add(least)?.multiply(top_p)?)?])
}

/// [mass of each value and those above, all mass, top_p] → which do not reach top_p.
fn short(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [mass, total, top_p] = inputs else { return Ok(Vec::new()) };
    Ok(vec![mass.lt(total.multiply(top_p)?)?])
}

/// [logprobs, threshold] → logprobs, −∞ below the threshold.
fn keep_from(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [logprobs, threshold] = inputs else { return Ok(Vec::new()) };
    let lowest = mlx::scalar(f32::NEG_INFINITY, logprobs.dtype())?;
    Ok(vec![ops::select(logprobs.lt(threshold)?, lowest, logprobs)?])
}

/// [logprobs, rank of each, last rank to keep] → logprobs, −∞ after that rank.
fn keep_through(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [logprobs, ranks, last] = inputs else { return Ok(Vec::new()) };
    let lowest = mlx::scalar(f32::NEG_INFINITY, logprobs.dtype())?;
    Ok(vec![ops::select(ranks.le(last)?, logprobs, lowest)?])
}

/// All bits of a 16-bit number but its sign.
const SIGNLESS: u16 = 0x7fff;

pub(super) fn vocabulary(logprobs: &Array) -> i32 {
    logprobs.shape().last().copied().unwrap_or(0)
}

/// Keeps the smallest set of most likely tokens whose probability reaches `top_p`, and all that tie with its last.
pub fn apply_top_p(logprobs: &Array, top_p: f32) -> Result<Array> {
    if let Some(kept) = mlx::keep(Keep::Share(top_p), logprobs) {
        return kept;
    }
    match logprobs.dtype() {
        Dtype::Bfloat16 => top_p_by_counting(logprobs, top_p, half::bf16::INFINITY.to_bits()),
        Dtype::Float16 => top_p_by_counting(logprobs, top_p, half::f16::INFINITY.to_bits()),
        _ => top_p_by_sorting(logprobs, top_p),
    }
}

pub(super) fn top_p_by_sorting(logprobs: &Array, top_p: f32) -> Result<Array> {
    let sorted = ops::sort_axis(logprobs, -1)?;
    let [probs] = PROBABILITIES.with(|f| f.call(std::slice::from_ref(&sorted)))?;
    let mass_above = ops::cumsum(&probs, -1, true, false)?;
    let (rest, least) = (mlx::slice_axis(&mass_above, -1, 0, 1)?, mlx::slice_axis(&probs, -1, 0, 1)?);
    let [drop] = BEYOND.with(|f| f.call(&[mass_above, rest, least, Array::from_f32(top_p)]))?;
    let dropped = drop.sum_axis(-1, true)?;
    let threshold = sorted.take_along_axis(&dropped, -1)?;
    let [kept] = KEEP_FROM.with(|f| f.call(&[logprobs.clone(), threshold]))?;
    Ok(kept)
}

/// The same for 16-bit numbers, of which there are so few that counting each is cheaper than sorting. `infinity`: the
/// bits of +∞.
fn top_p_by_counting(logprobs: &Array, top_p: f32, infinity: u16) -> Result<Array> {
    // Without the sign, the bits of a number up to 0 are the count of numbers between it and 0.
    let ranks = mlx::bitwise_and(&logprobs.view_dtype(Dtype::Uint16)?, &Array::from_slice(&[SIGNLESS], &[]))?;
    let mut shape = logprobs.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = i32::from(SIGNLESS) + 1;
    }
    let none = ops::broadcast_to(Array::from_int(0), &shape)?;
    let counts = mlx::scatter_add_axis(&none, &ranks, &Array::from_int(1), -1)?;
    let numbers = i32::from(infinity) + 1;
    let probabilities = probabilities_of_ranks(logprobs.dtype(), numbers)?;
    let [masses] = MASSES.with(|f| f.call(&[mlx::slice_axis(&counts, -1, 0, numbers)?, probabilities]))?;
    // Inclusive: on NVIDIA GPUs an exclusive sum in place overwrites input that it has not read yet (0.32.2).
    let mass = ops::cumsum(&masses, -1, false, true)?;
    // −∞ is last and has probability 0.
    let total = mlx::slice_axis(&mass, -1, numbers - 1, numbers)?;
    let [short] = SHORT.with(|f| f.call(&[mass, total, Array::from_f32(top_p)]))?;
    let [kept] = KEEP_THROUGH.with(|f| f.call(&[logprobs.clone(), ranks, short.sum_axis(-1, true)?]))?;
    Ok(kept)
}

/// Returns exp(-x) for all 16-bit numbers from 0 to +∞, in order. Computed once.
fn probabilities_of_ranks(dtype: Dtype, numbers: i32) -> Result<Array> {
    thread_local! { static MADE: RefCell<Vec<Array>> = const { RefCell::new(Vec::new()) }; }
    let made = MADE.with_borrow(|made| made.iter().find(|array| array.size() == numbers as usize).cloned());
    if let Some(made) = made {
        return Ok(made);
    }
    let values = ops::arange::<_, u16>(0, numbers, 1)?.view_dtype(dtype)?;
    let probabilities = values.as_dtype(Dtype::Float32)?.negative()?.exp()?;
    probabilities.eval()?;
    MADE.with_borrow_mut(|made| made.push(probabilities.clone()));
    Ok(probabilities)
}

/// Keeps tokens at least `min_p` times as likely as the most likely one, and at least `min_tokens_to_keep` tokens.
pub fn apply_min_p(logprobs: &Array, min_p: f32, min_tokens_to_keep: i32) -> Result<Array> {
    let top = logprobs.max_axis(-1, true)?;
    let mut remove = logprobs.lt(top.add(mlx::scalar(min_p.ln(), logprobs.dtype())?)?)?;
    let vocabulary = vocabulary(logprobs);
    if min_tokens_to_keep >= vocabulary {
        return Ok(logprobs.clone());
    }
    if min_tokens_to_keep > 1 {
        let kth = vocabulary - min_tokens_to_keep;
        let order = ops::argpartition_axis(logprobs, kth, -1)?;
        let top_indices = mlx::slice_axis(&order, -1, kth, vocabulary)?;
        remove = remove.put_along_axis(top_indices, Array::from_bool(false), -1)?;
    }
    discard(remove, logprobs)
}

/// Keeps the `top_k` most likely tokens.
pub fn apply_top_k(logprobs: &Array, top_k: i32) -> Result<Array> {
    if let Some(kept) = mlx::keep(Keep::Count(usize::try_from(top_k).unwrap_or(0)), logprobs) {
        return kept;
    }
    let order = ops::argpartition_axis(logprobs.negative()?, top_k - 1, -1)?;
    let rest = mlx::slice_axis(&order, -1, top_k, vocabulary(logprobs))?;
    Ok(logprobs.put_along_axis(rest, mlx::scalar(f32::NEG_INFINITY, logprobs.dtype())?, -1)?)
}

fn discard(remove: Array, logprobs: &Array) -> Result<Array> {
    Ok(ops::select(remove, mlx::scalar(f32::NEG_INFINITY, logprobs.dtype())?, logprobs)?)
}

/// Exclude top choices: with a given probability, drops all tokens more likely than `threshold` except the least likely
/// of them.
///
/// `chance`: a 0-d random number between 0 and 1, new for each token; the filter acts if it is below `probability`.
/// `special`: ids that are never dropped.
pub fn apply_xtc(logits: &Array, chance: &Array, probability: f32, threshold: f32, special: &[u32]) -> Result<Array> {
    let probs = ops::softmax_axis(logits, -1, None)?;
    let dtype = probs.dtype();
    let over = ops::select(probs.gt(mlx::scalar(threshold, dtype)?)?, &probs, mlx::scalar(f32::INFINITY, dtype)?)?;
    let mut drop = probs.gt(over.min_axis(-1, true)?)?;
    if !special.is_empty() {
        let ids = Array::from_slice(special, &[1, i32::try_from(special.len()).unwrap_or(0)]);
        drop = drop.put_along_axis(ids, Array::from_bool(false), -1)?;
    }
    let acts = chance.le(Array::from_f32(probability))?;
    discard(drop.logical_and(acts)?, logits)
}
