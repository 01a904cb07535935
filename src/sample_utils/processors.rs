// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/sample_utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: the first call sees the whole prompt.

//! Logits processors: bias, and penalties on what was said before.

use mlx_rs::{
    Array,
    error::Exception,
    ops::{self, indexing::scatter_add_single},
};

use crate::{
    error::Result,
    mlx::{self, Compiled},
};

/// A penalty, and on how many of the last tokens; 0 for all of them, as a slice of Python's has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Penalty {
    pub strength: f32,
    pub context_size: i32,
}

/// What changes logits before a token is chosen, in this order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Processors {
    /// Added to the logits of these ids; each id once.
    pub logit_bias: Vec<(u32, f32)>,
    /// Divides the logits of tokens that have occurred (multiplies negative ones).
    pub repetition: Option<Penalty>,
    /// Subtracted from the logits of tokens that have occurred.
    pub presence: Option<Penalty>,
    /// Subtracted for each time that a token has occurred.
    pub frequency: Option<Penalty>,
}

impl Processors {
    /// How many of the last tokens must be remembered; `i32::MAX` for all of them.
    pub fn memory(&self) -> i32 {
        let penalties = [self.repetition, self.presence, self.frequency].into_iter().flatten();
        penalties.map(|Penalty { context_size: size, .. }| if size == 0 { i32::MAX } else { size }).max().unwrap_or(0)
    }

    /// tokens: ids (N,) of what came before, logits: (1, vocabulary) → (1, vocabulary)
    pub fn apply(&self, tokens: &Array, logits: &Array) -> Result<Array> {
        let mut logits = logits.clone();
        if !self.logit_bias.is_empty() {
            let (ids, values): (Vec<u32>, Vec<f32>) = self.logit_bias.iter().copied().unzip();
            let count = i32::try_from(ids.len()).unwrap_or(0);
            let values = Array::from_slice(&values, &[count, 1]).as_dtype(logits.dtype())?;
            logits = add_each(&logits, &Array::from_slice(&ids, &[count]), &values)?;
        }
        if tokens.size() == 0 {
            return Ok(logits);
        }
        let recent = |penalty: Penalty| last(tokens, penalty.context_size);
        match (self.repetition, self.presence) {
            (Some(repetition), Some(presence)) if repetition.context_size == presence.context_size => {
                logits = penalize(&logits, &recent(repetition)?, repetition.strength, presence.strength)?;
            }
            (repetition, presence) => {
                if let Some(penalty) = repetition {
                    logits = penalize(&logits, &recent(penalty)?, penalty.strength, 0.0)?;
                }
                if let Some(penalty) = presence {
                    logits = penalize(&logits, &recent(penalty)?, 1.0, penalty.strength)?;
                }
            }
        }
        if let Some(penalty) = self.frequency {
            let ids = recent(penalty)?;
            let each = mlx::scalar(-penalty.strength, logits.dtype())?;
            logits = add_each(&logits, &ids, &ops::broadcast_to(each, &[mlx::dim(&ids, 0), 1])?)?;
        }
        Ok(logits)
    }
}

thread_local! { static PENALIZED: Compiled = Compiled::new(penalized, true); }

/// [logits, repetition, presence] → logits divided by the one (multiplied where negative), less the other.
fn penalized(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [logits, repetition, presence] = inputs else { return Ok(Vec::new()) };
    let zero = mlx::scalar(0.0, logits.dtype())?;
    let repeated = ops::select(logits.lt(zero)?, logits.multiply(repetition)?, logits.divide(repetition)?)?;
    Ok(vec![repeated.subtract(presence)?])
}

/// Changes the logits of ids of (n,), each once however often it occurs.
fn penalize(logits: &Array, ids: &Array, repetition: f32, presence: f32) -> Result<Array> {
    let ids = ids.expand_dims(0)?;
    let chosen = logits.take_along_axis(&ids, -1)?;
    let (repetition, presence) = (mlx::scalar(repetition, logits.dtype())?, mlx::scalar(presence, logits.dtype())?);
    let [chosen] = PENALIZED.with(|f| f.call(&[chosen, repetition, presence]))?;
    Ok(logits.put_along_axis(ids, chosen, -1)?)
}

/// Adds to the logits of ids of (n,) values of (n, 1), as often as an id occurs.
fn add_each(logits: &Array, ids: &Array, values: &Array) -> Result<Array> {
    let row = logits.squeeze_axes(&[0])?;
    Ok(scatter_add_single(&row, ids, values, 0)?.expand_dims(0)?)
}

/// The last `context_size` tokens, (n,).
fn last(tokens: &Array, context_size: i32) -> Result<Array> {
    let length = mlx::dim(tokens, 0);
    let start = if context_size == 0 { 0 } else { (length - context_size).max(0) };
    mlx::slice_axis(tokens, 0, start, length)
}
