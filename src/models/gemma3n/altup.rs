// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma3n.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Alternating updates (arXiv:2301.13310): of several hidden states a layer computes with one, and predicts and corrects
//! the others. They lie next to each other, (B, L, N, D), which spares mlx-lm's transpositions of (N, B, L, D).

use mlx_rs::{Array, Dtype, error::Exception, ops};

use crate::{
    error::{Error, Result},
    mlx::{self, Compiled},
    models::{common::batch_and_length, config},
    nn::{FusedLinear, Linear, Matrix, RmsNorm},
    weights::Weights,
};

thread_local! {
    static MODALITIES: Compiled = Compiled::new(modalities, true);
    static PREDICTED: Compiled = Compiled::new(predicted, true);
    static CORRECTED: Compiled = Compiled::new(corrected, true);
    static ADDED: Compiled = Compiled::new(added, true);
}

/// The sizes that belong to AltUp.
#[derive(Clone, Copy)]
pub struct AltUpArgs {
    pub hidden_size: i32,
    pub num_inputs: i32,
    pub active_idx: i32,
    pub correct_scale: bool,
    pub rms_norm_eps: f32,
}

impl AltUpArgs {
    pub fn check(&self) -> Result<()> {
        const MAX_INPUTS: i32 = 64;
        let invalid = |name: &str, message: String| Err(config::invalid(name, message));
        if !(2..=MAX_INPUTS).contains(&self.num_inputs) {
            let message = format!("{} is not between 2 and {MAX_INPUTS}", self.num_inputs);
            return invalid("altup_num_inputs", message);
        }
        if !(0..self.num_inputs).contains(&self.active_idx) {
            return invalid("altup_active_idx", format!("{} is none of {} inputs", self.active_idx, self.num_inputs));
        }
        config::check_sizes(&[("altup_num_inputs * hidden_size", self.num_inputs.saturating_mul(self.hidden_size))])
    }
}

/// [routed] → its hyperbolic tangent, in f32
fn modalities(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    inputs.iter().map(|routed| ops::tanh(routed.as_dtype(Dtype::Float32)?)).collect()
}

/// [change in f32, h] → their sum, in h's dtype
fn predicted(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [change, h] = inputs else { return Ok(Vec::new()) };
    Ok(vec![change.add(h.as_dtype(Dtype::Float32)?)?.as_dtype(h.dtype())?])
}

/// [activated, expected, coefs - 1, predictions] → predictions, corrected by what was not expected
fn corrected(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [activated, expected, coefs, predictions] = inputs else { return Ok(Vec::new()) };
    let coefs = coefs.add(mlx::scalar(1.0, coefs.dtype())?)?;
    let corrected = activated.subtract(expected)?.multiply(coefs)?.add(predictions)?;
    Ok(vec![corrected.as_dtype(activated.dtype())?])
}

/// [h, update, share of it] → their sum
fn added(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [h, update, share] = inputs else { return Ok(Vec::new()) };
    Ok(vec![h.add(update.multiply(share)?)?])
}

/// What each layer has of AltUp.
pub struct AltUp {
    args: AltUpArgs,
    /// `None` where nothing is scaled.
    correct_output_scale: Option<Array>,
    correction_coefs: Linear,
    prediction_coefs: Linear,
    modality_router: Linear,
    /// Has `1 / hidden_size` in its weight.
    router_norm: RmsNorm,
    /// (N, 1): 0 for the first hidden state, 1 for the others
    is_other: Array,
}

impl AltUp {
    pub fn new(args: AltUpArgs, w: &Weights) -> Result<Self> {
        let AltUpArgs { hidden_size: dim, num_inputs: n, .. } = args;
        // in f32
        let coefs = |name: &str, outputs: i32| -> Result<Linear> {
            let weight =
                w.pp(name).tensor_with("weight", &[outputs, n], |weight| Ok(weight.as_dtype(Dtype::Float32)?))?;
            Ok(Linear::new(Matrix::Dense(weight), None))
        };
        let norm = w.pp("router_norm").tensor_with("weight", &[dim], |weight| {
            Ok(weight.multiply(mlx::scalar(1.0 / dim as f32, weight.dtype())?)?)
        })?;
        let is_other: Vec<f32> = (0..n).map(|index| if index == 0 { 0.0 } else { 1.0 }).collect();
        let scale = if args.correct_scale {
            Some(w.tensor("correct_output_scale", &[dim])?)
        } else {
            w.remove("correct_output_scale");
            None
        };
        Ok(Self {
            args,
            correct_output_scale: scale,
            correction_coefs: coefs("correction_coefs", n)?,
            prediction_coefs: coefs("prediction_coefs", n * n)?,
            modality_router: w.linear("modality_router", dim, n, false)?,
            is_other: mlx::vector(&is_other, norm.dtype())?.expand_dims(1)?,
            router_norm: RmsNorm::new(norm, args.rms_norm_eps),
        })
    }

    /// The hidden state that the layer computes with; h: (B, L, N, D) → (B, L, D)
    pub fn active(&self, h: &Array) -> Result<Array> {
        let index = self.args.active_idx;
        Ok(mlx::slice_axis(h, 2, index, index + 1)?.squeeze_axes(&[2])?)
    }

    /// x: (B, L, D) → (B, L, N) in f32
    fn compute_router_modalities(&self, x: &Array) -> Result<Array> {
        let routed = self.modality_router.forward(&self.router_norm.forward(x)?)?;
        let [modalities] = MODALITIES.with(|f| f.call(&[routed]))?;
        Ok(modalities)
    }

    /// What the layer's result is expected to be; h: (B, L, N, D) → (B, L, N, D)
    pub fn predict(&self, h: &Array) -> Result<Array> {
        let &[b, l, n, _] = h.shape() else { return Err(Error::internal("hidden states are not (B, L, N, D)")) };
        let modalities = self.compute_router_modalities(&self.active(h)?)?;
        // (B, L, N * N) -> (B, L, N, N)
        let coefs = self.prediction_coefs.forward(&modalities)?.reshape(&[b, l, n, n])?;
        let change = coefs.matmul(h.as_dtype(Dtype::Float32)?)?;
        let [predictions] = PREDICTED.with(|f| f.call(&[change, h.clone()]))?;
        Ok(predictions)
    }

    /// The same with what the layer really made of the active one; predictions: (B, L, N, D), `expected`, which is the active
    /// one of them, and `activated`: (B, L, D) → (B, L, N, D)
    pub fn correct(&self, predictions: Array, expected: &Array, activated: &Array) -> Result<Array> {
        let modalities = self.compute_router_modalities(activated)?;
        let coefs = self.correction_coefs.forward(&modalities)?.expand_dims(-1)?;
        let inputs = [activated.expand_dims(2)?, expected.expand_dims(2)?, coefs, predictions];
        let [corrected] = CORRECTED.with(|f| f.call(&inputs))?;
        Ok(corrected)
    }

    /// The active one as the layer's own input is mixed with it; corrected: (B, L, N, D) → (B, L, D)
    pub fn scaled_active(&self, corrected: &Array) -> Result<Array> {
        let active = self.active(corrected)?;
        match &self.correct_output_scale {
            Some(scale) => Ok(active.multiply(scale)?),
            None => Ok(active),
        }
    }

    /// Adds to all hidden states but the first; h: (B, L, N, D), update: (B, L, D) → (B, L, N, D)
    pub fn add_to_others(&self, h: Array, update: &Array) -> Result<Array> {
        let [h] = ADDED.with(|f| f.call(&[h, update.expand_dims(2)?, self.is_other.clone()]))?;
        Ok(h)
    }
}

/// What the model has of AltUp before its first layer and behind its last.
pub struct AltUpProjections {
    hidden_size: i32,
    others: i32,
    altup_projections: FusedLinear,
    altup_unembed_projections: Vec<Linear>,
}

impl AltUpProjections {
    pub fn new(args: &AltUpArgs, w: &Weights) -> Result<Self> {
        let (dim, others) = (args.hidden_size, args.num_inputs - 1);
        let names: Vec<String> = (0..others).map(|i| format!("altup_projections.{i}")).collect();
        let parts: Vec<(&str, i32)> = names.iter().map(|name| (name.as_str(), dim)).collect();
        let unembed = w.pp("altup_unembed_projections");
        Ok(Self {
            hidden_size: dim,
            others,
            altup_projections: w.fused_linear(&parts, dim, false)?,
            altup_unembed_projections: (0..others)
                .map(|i| unembed.linear(&i.to_string(), dim, dim, false))
                .collect::<Result<_>>()?,
        })
    }

    /// h: (B, L, D) → (B, L, N, D)
    pub fn embed(&self, h: &Array) -> Result<Array> {
        let (b, l) = batch_and_length(h)?;
        let first = h.expand_dims(2)?;
        // (B, L, (N - 1) * D) -> (B, L, N - 1, D)
        let others = self.altup_projections.forward_joined(h)?.reshape(&[b, l, self.others, self.hidden_size])?;
        with_magnitude_of_first(first, &others)
    }

    /// The mean; h: (B, L, N, D) → (B, L, D)
    pub fn unembed(&self, h: &Array) -> Result<Array> {
        let mut inputs = h.split_equal(self.others + 1, 2)?.into_iter();
        let first = inputs.next().ok_or_else(|| Error::internal("no hidden states"))?;
        let others = self.altup_unembed_projections.iter().zip(inputs);
        let others = others.map(|(projection, h)| projection.forward(&h)).collect::<Result<Vec<Array>>>()?;
        Ok(with_magnitude_of_first(first, &ops::concatenate(&others, 2)?)?.mean_axis(2, false)?)
    }
}

/// first: (B, L, 1, D), others: (B, L, N - 1, D) → (B, L, N, D), all with the root mean square of the first
fn with_magnitude_of_first(first: Array, others: &Array) -> Result<Array> {
    let magnitude = first.square()?.mean_axis(-1, true)?.sqrt()?;
    let others = RmsNorm::without_weight(0.0).forward(others)?.multiply(magnitude)?;
    Ok(ops::concatenate(&[first, others], 2)?)
}
