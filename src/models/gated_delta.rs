// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gated_delta.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: `normalize_qk` adds its epsilon to the sum of the squares.

//! The gated delta rule: a matrix for each head that decays, and in which each token corrects what is stored under
//! its key.

use mlx_rs::{
    Array, Dtype,
    error::Exception,
    ops::{concatenate, logaddexp, sigmoid, zeros_dtype},
};

use crate::{
    error::{Error, Result},
    mlx::Compiled,
    nn::RmsNorm,
};

thread_local! {
    static COMPUTE_G: Compiled = Compiled::new(compute_g, true);
    static STEP: Compiled = Compiled::new(step, false);
}

/// What a recurrence reads, token by token.
pub struct Inputs<'a> {
    /// (B, T, Hk, Dk), both from [`NormalizeQk`]
    pub q: &'a Array,
    pub k: &'a Array,
    /// (B, T, Hv, Dv), where each key head serves Hv / Hk value heads
    pub v: &'a Array,
    /// (B, T, Hv)
    pub a: &'a Array,
    pub b: &'a Array,
}

impl Inputs<'_> {
    /// B, T, Hk, Dk, Hv and Dv.
    fn dims(&self) -> Result<[i32; 6]> {
        match (self.k.shape(), self.v.shape()) {
            (&[batch, t, hk, dk], &[_, _, hv, dv]) if hk > 0 && hv % hk == 0 => Ok([batch, t, hk, dk, hv, dv]),
            (k, v) => Err(Error::internal(format!("keys of {k:?} for values of {v:?}"))),
        }
    }
}

/// [A_log, a, dt_bias] → what remains of the state, in f32.
fn compute_g(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [a_log, a, dt_bias] = inputs else { return Ok(Vec::new()) };
    let rate = a_log.as_dtype(Dtype::Float32)?.exp()?;
    let x = a.add(dt_bias)?;
    let softplus = logaddexp(&x, Array::from_f32(0.0).as_dtype(x.dtype())?)?;
    Ok(vec![rate.multiply(softplus)?.negative()?.exp()?])
}

/// Queries and keys of length one, queries scaled by `head_dim ** -0.5`.
pub struct NormalizeQk {
    q: RmsNorm,
    k: RmsNorm,
}

impl NormalizeQk {
    /// For activations of `dtype`. The factors are the norms' weights, which saves two kernels.
    pub fn new(head_dim: i32, eps: f32, dtype: Dtype) -> Result<Self> {
        let inv_scale = (head_dim as f32).powf(-0.5);
        // The norm adds its epsilon to the mean of the squares.
        let eps = eps * inv_scale * inv_scale;
        let norm = |factor: f32| {
            let weight = Array::from_slice(&vec![factor; head_dim.max(0) as usize], &[head_dim]).as_dtype(dtype)?;
            Ok::<_, Error>(RmsNorm::new(weight, eps))
        };
        Ok(Self { q: norm(inv_scale * inv_scale)?, k: norm(inv_scale)? })
    }

    pub fn forward(&self, q: &Array, k: &Array) -> Result<(Array, Array)> {
        Ok((self.q.forward(q)?, self.k.forward(k)?))
    }
}

/// Outputs of (B, T, Hv, Dv), and the state of (B, Hv, Dv, Dk) after them, which is f32 and at first zero.
pub fn gated_delta_update(
    inputs: &Inputs,
    a_log: &Array,
    dt_bias: &Array,
    state: Option<&Array>,
) -> Result<(Array, Array)> {
    let [batch, _, _, dk, hv, dv] = inputs.dims()?;
    let beta = sigmoid(inputs.b)?;
    let [g] = COMPUTE_G.with(|compute_g| compute_g.call(&[a_log.clone(), inputs.a.clone(), dt_bias.clone()]))?;
    let state = match state {
        Some(state) => state.clone(),
        None => zeros_dtype(&[batch, hv, dv, dk], Dtype::Float32)?,
    };
    gated_delta_ops(inputs, &g, &beta, &state)
}

/// The recurrence as a step for each token. mlx-lm has it in this form for every device but Metal, where it has a kernel.
fn gated_delta_ops(inputs: &Inputs, g: &Array, beta: &Array, state: &Array) -> Result<(Array, Array)> {
    let (&Inputs { q, k, v, .. }, [batch, t, hk, dk, hv, dv]) = (inputs, inputs.dims()?);
    let groups = hv / hk;
    let wide = |x: &Array, shape: &[i32]| x.as_dtype(Dtype::Float32)?.reshape(shape);
    let (q, k) = (wide(q, &[batch, t, hk, 1, 1, dk])?, wide(k, &[batch, t, hk, 1, 1, dk])?);
    let decay = wide(g, &[batch, t, hk, groups, 1, 1])?;
    let beta = wide(beta, &[batch, t, hk, groups, 1, 1])?;
    // Correcting v - decay · recalled by beta: what of that needs no state is done for all tokens at once.
    let target = wide(v, &[batch, t, hk, groups, 1, dv])?.multiply(&beta)?;
    let forget = decay.multiply(&beta)?;

    let mut state = state.reshape(&[batch, 1, hk, groups, dv, dk])?;
    let split = |x: &Array| Ok::<_, Error>(x.split_equal(t, 1)?.into_iter());
    let (mut k, mut target, mut forget, mut decay) = (split(&k)?, split(&target)?, split(&forget)?, split(&decay)?);
    let mut ys = Vec::new();
    STEP.with(|step| {
        for q in split(&q)? {
            let (Some(k), Some(target), Some(forget), Some(decay)) =
                (k.next(), target.next(), forget.next(), decay.next())
            else {
                return Err(Error::internal("the inputs differ in length"));
            };
            let [y, next] = step.call(&[q, k, target, forget, decay, state.clone()])?;
            ys.push(y);
            state = next;
        }
        Ok(())
    })?;
    // T times (B, 1, Hk, groups, 1, Dv) -> (B, T, Hv, Dv)
    let y = concatenate(&ys, 1)?.reshape(&[batch, t, hv, dv])?.as_dtype(v.dtype())?;
    Ok((y, state.reshape(&[batch, hv, dv, dk])?))
}

/// One token: rows q and k of (…, 1, Dk), target (…, 1, Dv), numbers forget and decay, state (…, Dv, Dk).
///
/// A row times a transposed matrix is what MLX is fastest at on CPUs, and on NVIDIA's GPUs what it computes in full
/// f32: their other products round f32 to TF32.
fn step(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [q, k, target, forget, decay, state] = inputs else { return Ok(Vec::new()) };
    let recalled = k.matmul(state.swap_axes(-1, -2)?)?;
    let delta = target.subtract(forget.multiply(recalled)?)?;
    let state = state.multiply(decay)?.add(delta.swap_axes(-1, -2)?.multiply(k)?)?;
    let y = q.matmul(state.swap_axes(-1, -2)?)?;
    Ok(vec![y, state])
}
