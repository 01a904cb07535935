// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gated_delta.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: `normalize_qk` adds its epsilon to the sum of the squares.

//! The gated delta rule: each head has a matrix that decays, and each token corrects the value stored for its key.

use mlx_rs::{
    Array, Dtype,
    error::Exception,
    ops::{broadcast_to, concatenate, cumsum, diagonal, logaddexp, ones, pad, select, sigmoid, tri, zeros_dtype},
};

use crate::{
    error::{Error, Result},
    mlx::{self, Compiled},
    nn::RmsNorm,
};

/// Number of tokens in a chunk, and the number from which chunks are faster.
const CHUNK: i32 = 64;
const CHUNKS_FROM: i32 = 16;

thread_local! {
    static GATES: Compiled = Compiled::new(gates, true);
    static TARGETS: Compiled = Compiled::new(targets, true);
    static STEP: Compiled = Compiled::new(step, false);
}

/// The inputs of the recurrence, per token; all but `a` and `b` in f32.
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

/// [A_log, a, dt_bias, b] → the logarithm of the state's decay, the decay, and beta, in f32.
fn gates(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [a_log, a, dt_bias, b] = inputs else { return Ok(Vec::new()) };
    let rate = a_log.as_dtype(Dtype::Float32)?.exp()?;
    let x = a.add(dt_bias)?;
    let softplus = logaddexp(&x, mlx::scalar(0.0, x.dtype())?)?;
    let log_g = rate.multiply(softplus)?.negative()?;
    let g = log_g.exp()?;
    Ok(vec![log_g, g, sigmoid(b)?.as_dtype(Dtype::Float32)?])
}

/// [v, beta, decay] → what the state is corrected to and what of it is forgotten, where each is multiplied by beta.
fn targets(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [v, beta, decay] = inputs else { return Ok(Vec::new()) };
    Ok(vec![v.multiply(beta)?, decay.multiply(beta)?])
}

/// Normalizes queries and keys to length one, and scales queries by `head_dim ** -0.5`.
pub struct NormalizeQk {
    q: RmsNorm,
    k: RmsNorm,
}

impl NormalizeQk {
    /// The factors are the norms' weights, which saves two kernels.
    pub fn new(head_dim: i32, eps: f32) -> Result<Self> {
        let inv_scale = (head_dim as f32).powf(-0.5);
        // The norm adds its epsilon to the mean of the squares.
        let eps = eps * inv_scale * inv_scale;
        let norm = |factor: f32| {
            let weight = mlx::vector(&vec![factor; head_dim.max(0) as usize], Dtype::Float32)?;
            Ok::<_, Error>(RmsNorm::new(weight, eps))
        };
        Ok(Self { q: norm(inv_scale * inv_scale)?, k: norm(inv_scale)? })
    }

    pub fn forward(&self, q: &Array, k: &Array) -> Result<(Array, Array)> {
        Ok((self.q.forward(q)?, self.k.forward(k)?))
    }
}

/// Returns outputs (B, T, Hv, Dv) and the final state (B, Hv, Dv, Dk), which starts as zero; both are f32.
pub fn gated_delta_update(
    inputs: &Inputs,
    a_log: &Array,
    dt_bias: &Array,
    state: Option<&Array>,
) -> Result<(Array, Array)> {
    let [batch, t, _, dk, hv, dv] = inputs.dims()?;
    let gates = [a_log.clone(), inputs.a.clone(), dt_bias.clone(), inputs.b.clone()];
    let [log_g, g, beta] = GATES.with(|f| f.call(&gates))?;
    let state = match state {
        Some(state) => state.clone(),
        None => zeros_dtype(&[batch, hv, dv, dk], Dtype::Float32)?,
    };
    if t >= CHUNKS_FROM {
        gated_delta_chunks(inputs, &log_g, &beta, &state)
    } else {
        gated_delta_ops(inputs, &g, &beta, &state)
    }
}

/// The recurrence, one token at a time. mlx-lm uses this form on every device except Metal, for which it has a kernel.
fn gated_delta_ops(inputs: &Inputs, g: &Array, beta: &Array, state: &Array) -> Result<(Array, Array)> {
    let (&Inputs { q, k, v, .. }, [batch, t, hk, dk, hv, dv]) = (inputs, inputs.dims()?);
    let groups = hv / hk;
    let (q, k) = (q.reshape(&[batch, t, hk, 1, 1, dk])?, k.reshape(&[batch, t, hk, 1, 1, dk])?);
    let [decay, beta] = [g, beta].map(|x| x.reshape(&[batch, t, hk, groups, 1, 1]));
    let decay = decay?;
    // Correcting v - decay · recalled by beta: what of that needs no state is done for all tokens at once.
    let v_heads = v.reshape(&[batch, t, hk, groups, 1, dv])?;
    let [target, forget] = TARGETS.with(|f| f.call(&[v_heads, beta?, decay.clone()]))?;

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
    let y = concatenate(&ys, 1)?.reshape(&[batch, t, hv, dv])?;
    Ok((y, state.reshape(&[batch, hv, dv, dk])?))
}

/// One token: rows q and k of (…, 1, Dk), target (…, 1, Dv), numbers forget and decay, state (…, Dv, Dk).
///
/// A row times a transposed matrix is the fastest product of MLX on CPUs, and on NVIDIA GPUs the only one in full f32:
/// others round to TF32.
fn step(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [q, k, target, forget, decay, state] = inputs else { return Ok(Vec::new()) };
    let recalled = k.matmul(state.swap_axes(-1, -2)?)?;
    let delta = target.subtract(forget.multiply(recalled)?)?;
    let state = state.multiply(decay)?.add(delta.swap_axes(-1, -2)?.multiply(k)?)?;
    let y = q.matmul(state.swap_axes(-1, -2)?)?;
    Ok(vec![y, state])
}

/// The recurrence, one chunk of tokens at a time: a few matrix products per chunk (the WY form of arXiv:2412.06464), with
/// the same result as mlx-lm's computation per token.
///
/// With γ the decay since the start of a chunk, and its tokens as rows of Q, K and V, the corrections U solve
/// (1 + A) U = β V − β γ K Sᵀ, where A[i, j] = β[i] γ[i] / γ[j] (k[i] · k[j]) below the diagonal. Then
/// Y = γ Q Sᵀ + (Q Kᵀ ∘ γ[i] / γ[j]) U, and the next S is γ[last] S + Uᵀ (K ∘ γ[last] / γ).
fn gated_delta_chunks(inputs: &Inputs, log_g: &Array, beta: &Array, state: &Array) -> Result<(Array, Array)> {
    let (&Inputs { q, k, v, .. }, [batch, t, hk, dk, hv, dv]) = (inputs, inputs.dims()?);
    let (groups, chunks) = (hv / hk, (t + CHUNK - 1) / CHUNK);
    // (B, T, H, D) -> (B, H, chunks, CHUNK, D); tokens of zeros at the end change nothing
    let fold = |x: &Array, heads: i32, dims: i32| -> Result<Array> {
        let x = pad(x, &[(0, 0), (0, chunks * CHUNK - t), (0, 0), (0, 0)][..], None, None)?;
        Ok(x.reshape(&[batch, chunks, CHUNK, heads, dims])?.transpose_axes(&[0, 3, 1, 2, 4])?)
    };
    // a key head for each of its value heads
    let spread = |x: Array| -> Result<Array> {
        let x = broadcast_to(x.expand_dims(2)?, &[batch, hk, groups, chunks, CHUNK, dk])?;
        Ok(x.reshape(&[batch, hv, chunks, CHUNK, dk])?)
    };
    let (q, k) = (spread(fold(q, hk, dk)?)?, spread(fold(k, hk, dk)?)?);
    let number = |x: &Array| fold(&x.expand_dims(-1)?, hv, 1);
    let (v, beta) = (fold(v, hv, dv)?, number(beta)?);
    let log_gamma = cumsum(number(log_g)?, -2, None, None)?;
    let gamma = log_gamma.exp()?;

    // γ[i] / γ[j] for j ≤ i, else 0
    let lower = tri::<f32>(CHUNK, None, None)?;
    let ratio = log_gamma.subtract(log_gamma.swap_axes(-1, -2)?)?;
    let ratio = select(lower.gt(Array::from_f32(0.0))?, ratio, Array::from_f32(f32::NEG_INFINITY))?.exp()?;
    let k_beta = k.multiply(&beta)?;
    let k_t = k.swap_axes(-1, -2)?;
    let a = k_beta.matmul(&k_t)?.multiply(&ratio)?;
    let inverse = unit_lower_inverse(&a)?;
    let target = inverse.matmul(v.multiply(&beta)?)?;
    let forget = inverse.matmul(k_beta.multiply(&gamma)?)?;
    let scores = q.matmul(&k_t)?.multiply(&ratio)?;
    let q_gamma = q.multiply(&gamma)?;
    let last = mlx::slice_axis(&log_gamma, -2, CHUNK - 1, CHUNK)?;
    let k_rest = k.multiply(last.subtract(&log_gamma)?.exp()?)?;
    let decay = last.exp()?;

    let mut state = state.clone();
    let mut ys = Vec::new();
    for chunk in 0..chunks {
        let of = |x: &Array| -> Result<Array> { Ok(mlx::slice_axis(x, 2, chunk, chunk + 1)?.squeeze_axes(&[2])?) };
        let state_t = state.swap_axes(-1, -2)?;
        let u = of(&target)?.subtract(of(&forget)?.matmul(&state_t)?)?;
        ys.push(of(&q_gamma)?.matmul(&state_t)?.add(of(&scores)?.matmul(&u)?)?);
        state = state.multiply(of(&decay)?)?.add(u.swap_axes(-1, -2)?.matmul(of(&k_rest)?)?)?;
    }
    // chunks of (B, Hv, CHUNK, Dv) -> (B, T, Hv, Dv)
    let y = mlx::slice_axis(&concatenate(&ys, 2)?, 2, 0, t)?.transpose_axes(&[0, 2, 1, 3])?;
    Ok((y, state))
}

/// Returns (1 + L)⁻¹ for the strictly lower triangle L of a, (…, CHUNK, CHUNK).
///
/// Blocks on the diagonal are joined two by two, which is as exact as substitution: the inverse of [[P, 0], [M, R]] is
/// [[P⁻¹, 0], [−R⁻¹ M P⁻¹, R⁻¹]].
fn unit_lower_inverse(a: &Array) -> Result<Array> {
    let batch = a.shape().split_last_chunk::<2>().map_or(&[][..], |(batch, _)| batch);
    // (…, blocks, size, size), at first 1 × 1
    let mut inverse = ones::<f32>(&[batch, &[CHUNK, 1, 1]].concat())?;
    let mut size = 1;
    while size < CHUNK {
        let pairs = CHUNK / (2 * size);
        let blocks = a.reshape(&[batch, &[pairs, 2 * size, pairs, 2 * size]].concat())?;
        // (…, pairs, 2 size, pairs, 2 size) -> (…, pairs, size, size): of each pair what lies below left
        let own = diagonal(&blocks, 0, -4, -2)?.move_axis(-1, -3)?;
        let below = mlx::slice_axis(&mlx::slice_axis(&own, -2, size, 2 * size)?, -1, 0, size)?;
        let halves = inverse.reshape(&[batch, &[pairs, 2, size, size]].concat())?;
        let half = |index| Ok::<_, Error>(mlx::slice_axis(&halves, -3, index, index + 1)?.squeeze_axes(&[-3])?);
        let (upper, lower) = (half(0)?, half(1)?);
        let corner = lower.matmul(below)?.matmul(&upper)?.negative()?;
        let zero = upper.multiply(Array::from_f32(0.0))?;
        let rows = [concatenate(&[&upper, &zero], -1)?, concatenate(&[&corner, &lower], -1)?];
        inverse = concatenate(&rows, -2)?;
        size *= 2;
    }
    Ok(inverse.squeeze_axes(&[-3])?)
}

#[cfg(test)]
mod tests {
    use mlx_rs::{fast, random};

    use super::*;
    use crate::mlx::Backend;

    #[test]
    fn chunks_equal_single_steps() {
        mlx::choose_backend(Some(Backend::Cpu)).unwrap();
        let [batch, hk, hv, dk, dv] = [2, 2, 4, 32, 16];
        for (t, alike) in [(16, false), (64, false), (200, false), (130, true)] {
            let draw =
                |shape: &[i32], seed| random::uniform::<_, f32>(-1.0, 1.0, shape, &random::key(seed).unwrap()).unwrap();
            let unit = |x: Array| {
                let x = fast::rms_norm(&x, None, 1e-6).unwrap();
                x.multiply(Array::from_f32((dk as f32).powf(-0.5))).unwrap()
            };
            // Keys that are all but equal make the system as bad as it can be.
            let spread = Array::from_f32(if alike { 0.05 } else { 1.0 });
            let key = draw(&[batch, t, hk, dk], 1).multiply(&spread).unwrap();
            let k = unit(key.add(Array::from_f32(if alike { 1.0 } else { 0.0 })).unwrap());
            let q = unit(draw(&[batch, t, hk, dk], 2));
            let v = draw(&[batch, t, hv, dv], 3);
            let a = draw(&[batch, t, hv], 4);
            let inputs = Inputs { q: &q, k: &k, v: &v, a: &a, b: &a };
            let beta = sigmoid(draw(&[batch, t, hv], 5).multiply(Array::from_f32(4.0)).unwrap()).unwrap();
            let log_g = draw(&[batch, t, hv], 6).abs().unwrap().multiply(Array::from_f32(-0.2)).unwrap();
            let state = draw(&[batch, hv, dv, dk], 7);
            let (ours, ours_state) = gated_delta_chunks(&inputs, &log_g, &beta, &state).unwrap();
            let (steps, steps_state) = gated_delta_ops(&inputs, &log_g.exp().unwrap(), &beta, &state).unwrap();
            for (x, y) in [(ours, steps), (ours_state, steps_state)] {
                let apart = x.subtract(y).unwrap().abs().unwrap().max(false).unwrap();
                let apart = apart.try_item_exact::<f32>().unwrap();
                assert!(apart < 1e-5, "{t} tokens: {apart}");
            }
        }
    }
}
