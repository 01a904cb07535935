// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/sample_utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: the first call sees the whole prompt.

//! Logits processors: bias, and penalties on what was said before.

use mlx_rs::{
    Array, Dtype,
    ops::{self, indexing::scatter_add_single},
};

use crate::{error::Result, mlx};

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
    /// How many of the last tokens must be remembered: `None` for all.
    pub fn memory(&self) -> Option<i32> {
        let sizes = [self.repetition, self.presence, self.frequency].into_iter().flatten();
        sizes
            .map(|penalty| if penalty.context_size == 0 { i32::MAX } else { penalty.context_size })
            .max()
            .map_or(Some(0), |most| (most != i32::MAX).then_some(most))
    }

    /// tokens: ids (N,) of what came before, logits: (1, vocabulary) → (1, vocabulary)
    pub fn apply(&self, tokens: &Array, logits: &Array) -> Result<Array> {
        let mut logits = logits.clone();
        if !self.logit_bias.is_empty() {
            let (ids, values): (Vec<u32>, Vec<f32>) = self.logit_bias.iter().copied().unzip();
            let shape = [1, i32::try_from(ids.len()).unwrap_or(0)];
            let values = Array::from_slice(&values, &shape).as_dtype(logits.dtype())?;
            logits = change(&logits, &Array::from_slice(&ids, &shape), |chosen| Ok(chosen.add(&values)?))?;
        }
        if tokens.size() == 0 {
            return Ok(logits);
        }
        if let Some(Penalty { strength, context_size }) = self.repetition {
            logits = change(&logits, &last(tokens, context_size)?, |chosen| {
                let dtype = chosen.dtype();
                let (zero, strength) = (mlx::scalar(0.0, dtype)?, mlx::scalar(strength, dtype)?);
                Ok(ops::select(chosen.lt(zero)?, chosen.multiply(&strength)?, chosen.divide(&strength)?)?)
            })?;
        }
        if let Some(Penalty { strength, context_size }) = self.presence {
            logits = change(&logits, &last(tokens, context_size)?, |chosen| {
                Ok(chosen.subtract(mlx::scalar(strength, chosen.dtype())?)?)
            })?;
        }
        if let Some(Penalty { strength, context_size }) = self.frequency {
            let recent = last(tokens, context_size)?.flatten(None, None)?;
            let row = logits.flatten(None, None)?;
            let each = mlx::scalar(-strength, row.dtype())?;
            let each = ops::broadcast_to(each, &[mlx::dim(&recent, 0), 1])?;
            logits = scatter_add_single(&row, &recent, &each, 0)?.expand_dims(0)?;
        }
        Ok(logits)
    }
}

/// The last `context_size` tokens as (1, n).
fn last(tokens: &Array, context_size: i32) -> Result<Array> {
    let length = mlx::dim(tokens, 0);
    let start = if context_size == 0 { 0 } else { (length - context_size).max(0) };
    Ok(mlx::slice_axis(tokens, 0, start, length)?.as_dtype(Dtype::Uint32)?.expand_dims(0)?)
}

/// Replaces the logits of some ids, (1, n), by what `f` makes of them. An id that occurs twice gets the same twice.
fn change(logits: &Array, ids: &Array, f: impl Fn(&Array) -> Result<Array>) -> Result<Array> {
    Ok(logits.put_along_axis(ids, f(&logits.take_along_axis(ids, -1)?)?, -1)?)
}
