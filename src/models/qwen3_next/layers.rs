// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_next.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The parts of the decoder layers.

use std::rc::Rc;

use mlx_rs::{
    Array, Dtype,
    ops::{concatenate, zeros_dtype},
};

use super::ModelArgs;
use crate::{
    attention::{Mask, scaled_dot_product_attention},
    cache::{ArraysCache, Cache},
    error::Result,
    mlx,
    models::{
        common::{Heads, Mlp, SharedExpertMoe, batch_and_length},
        gated_delta::{Inputs, NormalizeQk, gated_delta_update},
    },
    nn::{
        Activation, FusedLinear, Linear, RmsNorm, Rope, ShortConv,
        activations::{precise_swiglu, sigmoid_gate},
    },
    weights::Weights,
};

pub struct Attention {
    num_key_value_heads: i32,
    num_attention_heads: i32,
    head_dim: i32,
    scale: f32,
    qkv_proj: FusedLinear,
    o_proj: Linear,
    q_norm: RmsNorm,
    k_norm: RmsNorm,
    rope: Rc<Rope>,
}

impl Attention {
    pub fn new(args: &ModelArgs, rope: &Rc<Rope>, w: &Weights) -> Result<Self> {
        let (dim, head_dim, bias) = (args.hidden_size, args.head_dim(), args.attention_bias);
        let (q, kv) = (args.num_attention_heads * head_dim, args.num_key_value_heads * head_dim);
        Ok(Self {
            num_key_value_heads: args.num_key_value_heads,
            num_attention_heads: args.num_attention_heads,
            head_dim,
            scale: (head_dim as f32).powf(-0.5),
            qkv_proj: w.fused_linear(&[("q_proj", 2 * q), ("k_proj", kv), ("v_proj", kv)], dim, bias)?,
            o_proj: w.linear("o_proj", q, dim, bias)?,
            q_norm: w.rms_norm("q_norm", head_dim, args.rms_norm_eps)?,
            k_norm: w.rms_norm("k_norm", head_dim, args.rms_norm_eps)?,
            rope: Rc::clone(rope),
        })
    }

    /// x: (B, L, D) → (B, L, D)
    pub fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let heads = Heads::of(x)?;
        let [queries, keys, values] = self.qkv_proj.forward(x)?;
        // Each head has D features of the query, and D of the gate.
        let [queries, gate] = mlx::split(&heads.split(&queries, self.num_attention_heads)?, &[self.head_dim], -1)?;
        let gate = heads.flatten(&gate)?;
        let queries = self.q_norm.forward(&queries)?;
        let keys = self.k_norm.forward(&heads.split(&keys, self.num_key_value_heads)?)?;
        let values = heads.first(heads.split(&values, self.num_key_value_heads)?)?;
        let offset = cache.offset();
        let queries = self.rope.forward(&heads.first(queries)?, offset)?;
        let keys = self.rope.forward(&heads.first(keys)?, offset)?;
        let cached = cache.update_and_fetch(&keys, &values)?;
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?;
        self.o_proj.forward(&sigmoid_gate(&gate, &heads.join(output)?)?)
    }
}

pub struct GatedDeltaNet {
    num_v_heads: i32,
    num_k_heads: i32,
    head_k_dim: i32,
    head_v_dim: i32,
    conv_kernel_size: i32,
    conv1d: ShortConv,
    /// `in_proj_qkv`, `_z`, `_b` and `_a`
    in_proj: FusedLinear,
    dt_bias: Array,
    a_log: Array,
    normalize_qk: NormalizeQk,
    norm: RmsNorm,
    out_proj: Linear,
}

impl GatedDeltaNet {
    pub fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, v_heads) = (args.hidden_size, args.linear_num_value_heads);
        let (head_k_dim, head_v_dim) = (args.linear_key_head_dim, args.linear_value_head_dim);
        let (key_dim, value_dim) = (head_k_dim * args.linear_num_key_heads, head_v_dim * v_heads);
        let conv_dim = 2 * key_dim + value_dim;
        let in_proj =
            [("in_proj_qkv", conv_dim), ("in_proj_z", value_dim), ("in_proj_b", v_heads), ("in_proj_a", v_heads)];
        // The convolution, the recurrence and its norm compute in f32 throughout, which needs no casts between them.
        let norm = w.pp("norm").tensor_with("weight", &[head_v_dim], |weight| Ok(weight.as_dtype(Dtype::Float32)?))?;
        Ok(Self {
            num_v_heads: v_heads,
            num_k_heads: args.linear_num_key_heads,
            head_k_dim,
            head_v_dim,
            conv_kernel_size: args.linear_conv_kernel_dim,
            normalize_qk: NormalizeQk::new(head_k_dim, 1e-6)?,
            conv1d: w.short_conv("conv1d", conv_dim, args.linear_conv_kernel_dim)?,
            in_proj: w.fused_linear(&in_proj, dim, false)?,
            dt_bias: w.tensor("dt_bias", &[v_heads])?,
            a_log: w.tensor("A_log", &[v_heads])?,
            norm: RmsNorm::new(norm, args.rms_norm_eps),
            out_proj: w.linear("out_proj", value_dim, dim, false)?,
        })
    }

    /// x: (B, S, D) → (B, S, D)
    pub fn forward(&self, x: &Array, cache: &mut ArraysCache) -> Result<Array> {
        let (batch, s) = batch_and_length(x)?;
        let [qkv, z, b, a] = self.in_proj.forward(x)?;
        // The last inputs of the convolution: (B, K - 1, 2 Hk Dk + Hv Dv)
        let keep = self.conv_kernel_size - 1;
        let conv_state = match cache.get(0) {
            Some(state) => state.clone(),
            None => zeros_dtype(&[batch, keep, mlx::dim(&qkv, 2)], qkv.dtype())?,
        };
        let conv_input = concatenate(&[conv_state, qkv], 1)?;
        cache.set(0, mlx::slice_axis(&conv_input, 1, s, s + keep)?.contiguous()?);

        let key_dim = self.head_k_dim * self.num_k_heads;
        let [q, k, v] = mlx::split(&self.conv1d.forward(&conv_input)?, &[key_dim, 2 * key_dim], -1)?;
        let keys = [batch, s, self.num_k_heads, self.head_k_dim];
        let (q, k) = self.normalize_qk.forward(&q.reshape(&keys)?, &k.reshape(&keys)?)?;
        let values = [batch, s, self.num_v_heads, self.head_v_dim];
        let (v, z) = (v.reshape(&values)?, z.reshape(&values)?);
        let inputs = Inputs { q: &q, k: &k, v: &v, a: &a, b: &b };
        let (out, state) = gated_delta_update(&inputs, &self.a_log, &self.dt_bias, cache.get(1))?;
        cache.set(1, state);
        cache.advance(s);

        let out = precise_swiglu(&z, &self.norm.forward(&out)?)?;
        // (B, S, Hv, Dv) -> (B, S, Hv * Dv)
        self.out_proj.forward(&out.reshape(&[batch, s, -1])?)
    }
}

pub fn sparse_moe_block(args: &ModelArgs, w: &Weights) -> Result<SharedExpertMoe> {
    let (dim, experts) = (args.hidden_size, args.num_experts);
    let shared = args.shared_expert_intermediate_size;
    Ok(SharedExpertMoe {
        norm_topk_prob: args.norm_topk_prob,
        top_k: args.num_experts_per_tok,
        gates: w.fused_linear(&[("gate", experts), ("shared_expert_gate", 1)], dim, false)?,
        experts: w.switch_glu("switch_mlp", dim, args.moe_intermediate_size, experts, Activation::Swiglu, false)?,
        shared_expert: Mlp::new(dim, shared, Activation::Swiglu, false, &w.pp("shared_expert"))?,
    })
}
