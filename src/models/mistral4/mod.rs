// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/mistral4.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: that commit does not have the file.

//! Mistral 4: attention over keys and values that are compressed into a small latent, and experts in groups, of which
//! only the best are considered.

mod sanitize;

use std::rc::Rc;

use mlx_rs::{Array, Dtype, ops};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{Decoder, DecoderArgs, DenseOrSparse, FeedForward, Heads, Layer, Mlp, Pass, PreNormBlock},
    config,
    ministral3::Llama4AttnScale,
};
use crate::{
    attention::{KeysValues, Mask, lowest, scaled_dot_product_attention},
    cache::Cache,
    error::{Error, Result},
    mlx,
    nn::{
        Activation, FusedLinear, Linear, Matrix, RmsNorm, Rope, SwitchGlu,
        rope::apply_yarn_mscale,
        switch_layers::{combine, top_k},
    },
    weights::Weights,
};

#[derive(Debug, Deserialize)]
pub struct ModelArgs {
    vocab_size: i32,
    hidden_size: i32,
    intermediate_size: i32,
    moe_intermediate_size: i32,
    num_hidden_layers: i32,
    num_attention_heads: i32,
    n_shared_experts: Option<i32>,
    n_routed_experts: Option<i32>,
    routed_scaling_factor: f32,
    kv_lora_rank: i32,
    q_lora_rank: Option<i32>,
    norm_topk_prob: bool,
    max_position_embeddings: i32,
    rms_norm_eps: f32,
    topk_group: i32,
    num_experts_per_tok: i32,
    first_k_dense_replace: i32,
    n_group: i32,
    qk_rope_head_dim: i32,
    qk_nope_head_dim: i32,
    v_head_dim: i32,
    #[serde(default)]
    tie_word_embeddings: bool,
    rope_interleave: Option<bool>,
    #[serde(default)]
    attention_bias: bool,
    rope_parameters: Map<String, Value>,
}

impl ModelArgs {
    fn rope(&self) -> Result<Rope> {
        let theta = self.rope_parameters.get("rope_theta").and_then(Value::as_f64).unwrap_or(100_000.0) as f32;
        config::check_positive("rope_theta", theta)?;
        Rope::new(
            self.qk_rope_head_dim,
            theta,
            self.rope_interleave.unwrap_or(true),
            Some(&self.rope_parameters),
            Some(self.max_position_embeddings),
        )
    }

    fn check(&self) -> Result<()> {
        let invalid = |name, message: String| Err(config::invalid(name, message));
        config::check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("kv_lora_rank", self.kv_lora_rank),
            ("q_lora_rank", self.q_lora_rank.unwrap_or(1)),
            ("max_position_embeddings", self.max_position_embeddings),
            ("qk_nope_head_dim", self.qk_nope_head_dim),
            ("v_head_dim", self.v_head_dim),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_attention_heads, self.qk_rope_head_dim)?;
        for (name, dims) in
            [("qk_nope_head_dim", self.qk_nope_head_dim + self.qk_rope_head_dim), ("v_head_dim", self.v_head_dim)]
        {
            config::check_sizes(&[(name, dims.saturating_mul(self.num_attention_heads))])?;
        }
        config::check_positive("rms_norm_eps", self.rms_norm_eps)?;

        let Some(experts) = self.n_routed_experts else { return Ok(()) };
        let (groups, per_token) = (self.n_group, self.num_experts_per_tok);
        config::check_sizes(&[
            ("n_routed_experts", experts),
            ("moe_intermediate_size", self.moe_intermediate_size),
            ("moe_intermediate_size", self.moe_intermediate_size.saturating_mul(self.n_shared_experts.unwrap_or(1))),
        ])?;
        if !(1..=experts).contains(&per_token) {
            return invalid("num_experts_per_tok", format!("{per_token} of {experts} experts"));
        }
        // the two best experts of each group say how good it is
        if groups > 1 && (experts % groups != 0 || experts / groups < 2) {
            return invalid("n_group", format!("{experts} experts cannot be cut into {groups} groups"));
        }
        if groups > 1 && !(1..=groups).contains(&self.topk_group) {
            return invalid("topk_group", format!("{} of {groups} groups", self.topk_group));
        }
        Ok(())
    }
}

pub struct Mistral4Attention {
    num_heads: i32,
    qk_nope_head_dim: i32,
    kv_lora_rank: i32,
    scale: f32,
    /// `q_proj`, or `q_a_proj` if queries are compressed too, together with `kv_a_proj_with_mqa`.
    q_kv_a_proj: FusedLinear,
    q_b_proj: Option<(RmsNorm, Linear)>,
    kv_a_layernorm: RmsNorm,
    embed_q: Matrix,
    unembed_out: Matrix,
    o_proj: Linear,
    rope: Rc<Rope>,
}

impl Mistral4Attention {
    fn new(args: &ModelArgs, rope: &Rc<Rope>, w: &Weights) -> Result<Self> {
        const EPS: f32 = 1e-6;
        let (dim, heads, bias) = (args.hidden_size, args.num_attention_heads, args.attention_bias);
        let (nope, rank) = (args.qk_nope_head_dim, args.kv_lora_rank);
        let head_dim = nope + args.qk_rope_head_dim;
        let kv = ("kv_a_proj_with_mqa", rank + args.qk_rope_head_dim);
        let (q_kv_a_proj, q_b_proj) = match args.q_lora_rank {
            Some(q_rank) => {
                let norm = w.rms_norm("q_a_layernorm", q_rank, EPS)?;
                let q_b_proj = w.linear("q_b_proj", q_rank, heads * head_dim, false)?;
                (w.fused_linear(&[("q_a_proj", q_rank), kv], dim, bias)?, Some((norm, q_b_proj)))
            }
            None => {
                let q_proj = w.linear("q_proj", dim, heads * head_dim, false)?;
                (FusedLinear::Separate(vec![q_proj, w.linear(kv.0, dim, kv.1, bias)?]), None)
            }
        };
        Ok(Self {
            num_heads: heads,
            qk_nope_head_dim: nope,
            kv_lora_rank: rank,
            scale: apply_yarn_mscale((head_dim as f32).powf(-0.5), &args.rope_parameters)?,
            q_kv_a_proj,
            q_b_proj,
            kv_a_layernorm: w.rms_norm("kv_a_layernorm", rank, EPS)?,
            embed_q: w.multi_linear("embed_q", nope, rank, heads)?,
            unembed_out: w.multi_linear("unembed_out", rank, args.v_head_dim, heads)?,
            o_proj: w.linear("o_proj", heads * args.v_head_dim, dim, bias)?,
            rope: Rc::clone(rope),
        })
    }

    /// Attention for one token, without expanding the keys and values of the whole cache.
    fn attend_to_latent(
        &self,
        q_nope: &Array,
        q_rope: &Array,
        kv_latent: Array,
        k_rope: &Array,
        mask: &Mask,
    ) -> Result<Array> {
        let q_rope = q_rope.multiply(mlx::scalar(self.scale, q_rope.dtype())?)?;
        let mut scores = q_rope.matmul(k_rope.swap_axes(-1, -2)?)?;
        if let Some(mask) = mask.to_array(1, mlx::dim(k_rope, 2))? {
            scores = ops::select(mask, &scores, lowest(scores.dtype())?)?;
        }
        let cached = KeysValues::Dense { keys: kv_latent.clone(), values: kv_latent };
        let queries = self.embed_q.matmul_transposed(q_nope)?;
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, &Mask::Array(scores), None)?;
        self.unembed_out.matmul_transposed(&output)
    }
}

impl Layer for Mistral4Attention {
    fn forward(&self, x: &Array, pass: &Pass, cache: &mut dyn Cache) -> Result<Array> {
        let (heads, mask) = (Heads::of(x)?, pass.masks.of(false));
        let [q, compressed_kv] = self.q_kv_a_proj.forward(x)?;
        let q = match &self.q_b_proj {
            Some((norm, q_b_proj)) => q_b_proj.forward(&norm.forward(&q)?)?,
            None => q,
        };
        let q = heads.first(heads.split(&q, self.num_heads)?)?;
        let [mut q_nope, q_rope] = mlx::split(&q, &[self.qk_nope_head_dim], -1)?;
        let [k_latent, k_rope] = mlx::split(&compressed_kv, &[self.kv_lora_rank], -1)?;
        // (B, L, latent) -> (B, 1, L, latent): all heads share it
        let kv_latent = self.kv_a_layernorm.forward(&k_latent)?.expand_dims(1)?;
        let offset = cache.offset();
        let mut q_rope = self.rope.forward(&q_rope, offset)?;
        let k_rope = self.rope.forward(&k_rope.expand_dims(1)?, offset)?;
        if let Some(attn_scale) = &pass.query_scale {
            (q_nope, q_rope) = (q_nope.multiply(attn_scale)?, q_rope.multiply(attn_scale)?);
        }
        let (kv_latent, k_rope) = cache.update_and_fetch(&kv_latent, &k_rope)?.dense(x.dtype())?;
        let output = if heads.is_single() {
            self.attend_to_latent(&q_nope, &q_rope, kv_latent, &k_rope, mask)?
        } else {
            let k_nope = self.embed_q.matmul(&kv_latent)?;
            let mut shape = k_nope.shape().to_vec();
            if let Some(last) = shape.last_mut() {
                *last = mlx::dim(&k_rope, 3);
            }
            let k_rope = ops::broadcast_to(k_rope, &shape)?;
            let cached = KeysValues::Dense {
                keys: ops::concatenate(&[k_nope, k_rope], -1)?,
                values: self.unembed_out.matmul_transposed(&kv_latent)?,
            };
            let queries = ops::concatenate(&[q_nope, q_rope], -1)?;
            scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?
        };
        self.o_proj.forward(&heads.join(output)?)
    }
}

pub struct Mistral4Moe {
    num_experts_per_tok: i32,
    n_group: i32,
    topk_group: i32,
    routed_scaling_factor: f32,
    norm_topk_prob: bool,
    switch_mlp: SwitchGlu,
    gate: Linear,
    shared_experts: Option<Mlp>,
}

impl Mistral4Moe {
    fn new(args: &ModelArgs, experts: i32, w: &Weights) -> Result<Self> {
        let (dim, hidden) = (args.hidden_size, args.moe_intermediate_size);
        let shared = |n| Mlp::new(dim, hidden * n, Activation::Swiglu, false, &w.pp("shared_experts"));
        Ok(Self {
            num_experts_per_tok: args.num_experts_per_tok,
            n_group: args.n_group,
            topk_group: args.topk_group,
            routed_scaling_factor: args.routed_scaling_factor,
            norm_topk_prob: args.norm_topk_prob,
            switch_mlp: w.switch_glu("switch_mlp", dim, hidden, experts, Activation::Swiglu, false)?,
            gate: w.linear("gate", dim, experts, false)?,
            shared_experts: args.n_shared_experts.map(shared).transpose()?,
        })
    }

    /// gates: (B, L, E) → indices and weights of the chosen experts, (B, L, K) each
    fn expert_select(&self, gates: &Array) -> Result<(Array, Array)> {
        let scores = ops::softmax_axis(gates.as_dtype(Dtype::Float32)?, -1, None)?;
        let indices = if self.n_group > 1 && self.topk_group < self.n_group {
            top_k(&self.without_worst_groups(&scores)?, self.num_experts_per_tok)?
        } else {
            top_k(&scores, self.num_experts_per_tok)?
        };
        let mut chosen = scores.take_along_axis(&indices, -1)?;
        if self.norm_topk_prob {
            chosen = chosen.divide(chosen.sum_axis(-1, true)?.add(Array::from_f32(1e-20))?)?;
        }
        Ok((indices, chosen.multiply(Array::from_f32(self.routed_scaling_factor))?))
    }

    /// Zeroes the scores outside of the best `topk_group` groups of experts. A group scores the sum of its best two.
    fn without_worst_groups(&self, scores: &Array) -> Result<Array> {
        let &[b, l, experts] = scores.shape() else { return Err(Error::internal("scores are not (B, L, E)")) };
        let per_group = experts / self.n_group;
        // (B, L, E) -> (B, L, groups, E / groups)
        let grouped = scores.reshape(&[b, l, self.n_group, per_group])?;
        let best_two = mlx::slice_axis(&ops::partition_axis(&grouped, -2, -1)?, -1, per_group - 2, per_group)?;
        let worst = self.n_group - self.topk_group;
        let order = ops::argpartition_axis(best_two.sum_axis(-1, true)?, worst - 1, -2)?;
        let worst = mlx::slice_axis(&order, -2, 0, worst)?;
        Ok(grouped.put_along_axis(worst, Array::from_f32(0.0), -2)?.reshape(&[b, l, experts])?)
    }
}

impl FeedForward for Mistral4Moe {
    fn forward(&self, x: &Array) -> Result<Array> {
        let (indices, scores) = self.expert_select(&self.gate.forward(x)?)?;
        let y = combine(&self.switch_mlp.forward(x, &indices)?, &scores)?;
        match &self.shared_experts {
            Some(shared) => Ok(y.add(shared.forward(x)?)?),
            None => Ok(y),
        }
    }
}

pub type Mistral4 = Decoder<PreNormBlock<DenseOrSparse<Mistral4Moe>, Mistral4Attention>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Mistral4> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    sanitize::sanitize(&args, w)?;
    let (rope, scale) = (Rc::new(args.rope()?), Llama4AttnScale::new(&args.rope_parameters)?);
    let dim = args.hidden_size;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied: args.tie_word_embeddings };
    let parts = |index, w: &Weights| {
        let (self_attn, at) = (Mistral4Attention::new(&args, &rope, &w.pp("self_attn"))?, w.pp("mlp"));
        let mlp = match args.n_routed_experts.filter(|_| index >= args.first_k_dense_replace) {
            Some(experts) => DenseOrSparse::Sparse(Box::new(Mistral4Moe::new(&args, experts, &at)?)),
            None => DenseOrSparse::Dense(Mlp::new(dim, args.intermediate_size, Activation::Swiglu, false, &at)?),
        };
        Ok((self_attn, mlp))
    };
    let mut decoder = Decoder::pre_norm(&sizes, w, 0..args.num_hidden_layers, parts)?;
    decoder.query_scale = Some(Box::new(move |length, offset, dtype| scale.of(length, offset, dtype)));
    Ok(decoder)
}
