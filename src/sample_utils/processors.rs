// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/sample_utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: the first call sees the whole prompt.

//! Logits processors: bias, and penalties on earlier tokens.

use mlx_rs::{Array, error::Exception, ops};

use crate::{
    error::Result,
    mlx::{self, Compiled},
    options::RunOptions,
};

/// A penalty on the last `context_size` tokens; 0 for all of them, as in a Python slice.
#[derive(Debug, Clone, Copy)]
struct Penalty {
    strength: f32,
    context_size: i32,
}

impl Penalty {
    /// `None` for a strength of 0, which is no penalty.
    fn new(strength: f32, context_size: i32) -> Option<Self> {
        (strength != 0.0).then_some(Self { strength, context_size })
    }
}

/// The processors of one run, in the order in which they are applied, with their arrays on the device.
#[derive(Debug)]
pub struct LogitsProcessors {
    /// Ids and values, (1, n).
    bias: Option<[Array; 2]>,
    repetition: Option<Penalty>,
    presence: Option<Penalty>,
    frequency: Option<Penalty>,
}

impl LogitsProcessors {
    pub fn new(options: &RunOptions) -> Self {
        // Made once: uploading an array of more than one number can make the host wait for the device.
        let bias = (!options.logit_bias.is_empty()).then(|| {
            let (ids, values): (Vec<u32>, Vec<f32>) = options.logit_bias.iter().copied().unzip();
            let shape = [1, i32::try_from(ids.len()).unwrap_or(0)];
            [Array::from_slice(&ids, &shape), Array::from_slice(&values, &shape)]
        });
        Self {
            bias,
            repetition: Penalty::new(
                options.repetition_penalty.unwrap_or(0.0),
                options.repetition_context_size.unwrap_or(20),
            ),
            presence: Penalty::new(options.presence_penalty, options.presence_context_size),
            frequency: Penalty::new(options.frequency_penalty, options.frequency_context_size),
        }
    }

    fn penalties(&self) -> impl Iterator<Item = Penalty> {
        [self.repetition, self.presence, self.frequency].into_iter().flatten()
    }

    /// Whether logits stay as they are.
    pub fn is_empty(&self) -> bool {
        self.bias.is_none() && self.penalties().next().is_none()
    }

    /// Number of last tokens that must be remembered; `i32::MAX` for all of them.
    pub fn memory(&self) -> i32 {
        let sizes = self.penalties().map(|penalty| penalty.context_size);
        sizes.map(|size| if size == 0 { i32::MAX } else { size }).max().unwrap_or(0)
    }

    /// What [`Self::apply`] takes behind a text, (1, n); `None` without processors.
    pub fn history(&self, text: &[u32]) -> Option<Array> {
        let memory = usize::try_from(self.memory()).unwrap_or(0);
        let recent = text.get(text.len().saturating_sub(memory)..).unwrap_or_default();
        (!self.is_empty()).then(|| Array::from_slice(recent, &[1, i32::try_from(recent.len()).unwrap_or(i32::MAX)]))
    }

    /// The same with more tokens, (1, n).
    pub fn extended(&self, history: &Array, tokens: &Array) -> Result<Array> {
        let memory = self.memory();
        if memory == 0 {
            return Ok(history.clone());
        }
        let all = ops::concatenate(&[history, &tokens.as_dtype(history.dtype())?], 1)?;
        let length = mlx::dim(&all, 1);
        mlx::slice_axis(&all, 1, (length - memory).max(0), length)
    }

    /// tokens: earlier ids (1, n), logits: (1, vocabulary) → (1, vocabulary)
    pub fn apply(&self, tokens: &Array, logits: &Array) -> Result<Array> {
        let Self { repetition, presence, frequency, .. } = *self;
        let mut logits = logits.clone();
        if let Some([ids, values]) = &self.bias {
            logits = mlx::scatter_add_axis(&logits, ids, values, -1)?;
        }
        if tokens.size() == 0 {
            return Ok(logits);
        }
        let recent = |penalty: Penalty| last(tokens, penalty.context_size);
        match (repetition, presence) {
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
        if let Some(penalty) = frequency {
            let each = mlx::scalar(-penalty.strength, logits.dtype())?;
            logits = mlx::scatter_add_axis(&logits, &recent(penalty)?, &each, -1)?;
        }
        Ok(logits)
    }
}

thread_local! { static PENALIZED: Compiled = Compiled::new(penalized, true); }

/// [logits, repetition, presence] → logits divided by `repetition` (multiplied if negative), minus `presence`.
fn penalized(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [logits, repetition, presence] = inputs else { return Ok(Vec::new()) };
    let zero = mlx::scalar(0.0, logits.dtype())?;
    let repeated = ops::select(logits.lt(zero)?, logits.multiply(repetition)?, logits.divide(repetition)?)?;
    Ok(vec![repeated.subtract(presence)?])
}

/// Changes the logits of ids of (1, n), once per distinct id.
fn penalize(logits: &Array, ids: &Array, repetition: f32, presence: f32) -> Result<Array> {
    let chosen = logits.take_along_axis(ids, -1)?;
    let (repetition, presence) = (mlx::scalar(repetition, logits.dtype())?, mlx::scalar(presence, logits.dtype())?);
    let [chosen] = PENALIZED.with(|f| f.call(&[chosen, repetition, presence]))?;
    Ok(logits.put_along_axis(ids, chosen, -1)?)
}

/// Returns the last `context_size` tokens, (1, n).
fn last(tokens: &Array, context_size: i32) -> Result<Array> {
    let length = mlx::dim(tokens, 1);
    if context_size == 0 || context_size >= length {
        return Ok(tokens.clone());
    }
    mlx::slice_axis(tokens, 1, length - context_size, length)
}
