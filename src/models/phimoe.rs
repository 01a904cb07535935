// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/phimoe.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: experts are chosen by sparsemixer; no `rope_scaling` means plain RoPE.

//! Phi-3.5-MoE: LayerNorm and biases, and experts that a sparse mixer chooses one after another.

use mlx_rs::{
    Array,
    ops::{self, indexing},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::create_attention_mask, config};
use crate::{
    attention::{Mask, scaled_dot_product_attention},
    cache::{Cache, Caches},
    error::{Error, Result},
    mlx,
    nn::{Embedding, FusedLinear, LayerNorm, Linear, Rope, SwitchGlu, activations::swiglu, switch_layers::combine},
    weights::Weights,
};

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct ModelArgs {
    vocab_size: i32,
    hidden_size: i32,
    intermediate_size: i32,
    num_hidden_layers: i32,
    num_attention_heads: i32,
    num_key_value_heads: i32,
    max_position_embeddings: i32,
    original_max_position_embeddings: i32,
    rms_norm_eps: f32,
    rope_scaling: Option<Map<String, Value>>,
    num_local_experts: i32,
    num_experts_per_tok: i32,
    rope_theta: f32,
    router_jitter_noise: f32,
}

impl Default for ModelArgs {
    fn default() -> Self {
        Self {
            vocab_size: 32064,
            hidden_size: 4096,
            intermediate_size: 6400,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: 8,
            max_position_embeddings: 131_072,
            original_max_position_embeddings: 4096,
            rms_norm_eps: 1e-6,
            rope_scaling: None,
            num_local_experts: 16,
            num_experts_per_tok: 2,
            rope_theta: 10000.0,
            router_jitter_noise: 0.01,
        }
    }
}

impl ModelArgs {
    fn rope(&self, head_dim: i32) -> Result<Rope> {
        config::check_positive("rope_theta", self.rope_theta)?;
        match &self.rope_scaling {
            None => Ok(Rope::plain(head_dim, self.rope_theta, false)),
            Some(scaling) => Rope::su_scaled(
                head_dim,
                self.rope_theta,
                scaling,
                self.max_position_embeddings,
                self.original_max_position_embeddings,
            ),
        }
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("max_position_embeddings", self.max_position_embeddings),
            ("original_max_position_embeddings", self.original_max_position_embeddings),
        ])?;
        let head_dim = self.hidden_size / self.num_attention_heads;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, head_dim)?;
        config::check_experts(("num_local_experts", self.num_local_experts), self.num_experts_per_tok)?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

struct Attention {
    n_heads: i32,
    n_kv_heads: i32,
    head_dim: i32,
    scale: f32,
    qkv_proj: FusedLinear,
    o_proj: Linear,
    rope: Rope,
}

impl Attention {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, n_heads, n_kv_heads) = (args.hidden_size, args.num_attention_heads, args.num_key_value_heads);
        let head_dim = dim / n_heads;
        let (q, kv) = (n_heads * head_dim, n_kv_heads * head_dim);
        Ok(Self {
            n_heads,
            n_kv_heads,
            head_dim,
            scale: (head_dim as f32).powf(-0.5),
            qkv_proj: w.fused_linear(&[("q_proj", q), ("k_proj", kv), ("v_proj", kv)], dim, true)?,
            o_proj: w.linear("o_proj", q, dim, true)?,
            rope: args.rope(head_dim)?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let &[b, l, _] = x.shape() else { return Err(Error::internal("hidden states are not (B, L, D)")) };
        let [queries, keys, values] = self.qkv_proj.forward(x)?;
        // (B, L, H * D) -> (B, H, L, D)
        let heads = |x: &Array, n: i32| x.reshape(&[b, l, n, self.head_dim])?.transpose_axes(&[0, 2, 1, 3]);
        let offset = cache.offset();
        let queries = self.rope.forward(&heads(&queries, self.n_heads)?, offset)?;
        let keys = self.rope.forward(&heads(&keys, self.n_kv_heads)?, offset)?;
        let cached = cache.update_and_fetch(&keys, &heads(&values, self.n_kv_heads)?)?;
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?;
        // (B, H, L, D) -> (B, L, H * D)
        self.o_proj.forward(&output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[b, l, -1])?)
    }
}

/// The best expert `top_k` times over, each weighted by a softmax over those left whose logits are within `2 jitter_eps`
/// of the best. gates: (…, E) → indices and scores, (…, K)
fn sparsemixer(gates: &Array, top_k: i32, jitter_eps: f32) -> Result<(Array, Array)> {
    let lowest = mlx::scalar(f32::NEG_INFINITY, gates.dtype())?;
    let threshold = mlx::scalar(2.0 * jitter_eps, gates.dtype())?;
    let magnitudes = gates.abs()?;
    let mut masked = gates.clone();
    let (mut inds, mut scores) = (Vec::new(), Vec::new());
    for _ in 0..top_k {
        let ind = indexing::argmax_axis(&masked, -1, true)?;
        let top = masked.take_along_axis(&ind, -1)?;
        let distance = top.subtract(gates)?.divide(ops::maximum(&magnitudes, &top)?)?;
        let band = ops::select(distance.gt(&threshold)?, &lowest, &masked)?;
        scores.push(ops::softmax_axis(band, -1, true)?.take_along_axis(&ind, -1)?);
        masked = masked.put_along_axis(&ind, &lowest, -1)?;
        inds.push(ind);
    }
    Ok((ops::concatenate(&inds, -1)?, ops::concatenate(&scores, -1)?))
}

struct PhiMoESparseMoeBlock {
    top_k: i32,
    jitter_eps: f32,
    gate: Linear,
    switch_mlp: SwitchGlu,
}

impl PhiMoESparseMoeBlock {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, hidden_dim, experts) = (args.hidden_size, args.intermediate_size, args.num_local_experts);
        let names = [("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")];
        w.stack_experts("experts", experts, "switch_mlp", &names)?;
        Ok(Self {
            top_k: args.num_experts_per_tok,
            jitter_eps: args.router_jitter_noise,
            gate: w.linear("gate", dim, experts, false)?,
            switch_mlp: w.switch_glu("switch_mlp", dim, hidden_dim, experts, swiglu, false)?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array) -> Result<Array> {
        let (inds, scores) = sparsemixer(&self.gate.forward(x)?, self.top_k, self.jitter_eps)?;
        combine(&self.switch_mlp.forward(x, &inds)?, &scores)
    }
}

struct PhiMoEDecoderLayer {
    self_attn: Attention,
    block_sparse_moe: PhiMoESparseMoeBlock,
    input_layernorm: LayerNorm,
    post_attention_layernorm: LayerNorm,
}

impl PhiMoEDecoderLayer {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        Ok(Self {
            self_attn: Attention::new(args, &w.pp("self_attn"))?,
            block_sparse_moe: PhiMoESparseMoeBlock::new(args, &w.pp("block_sparse_moe"))?,
            input_layernorm: w.layer_norm("input_layernorm", dim, eps, true)?,
            post_attention_layernorm: w.layer_norm("post_attention_layernorm", dim, eps, true)?,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let h = x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache)?)?;
        Ok(h.add(self.block_sparse_moe.forward(&self.post_attention_layernorm.forward(&h)?)?)?)
    }
}

/// mlx-lm's `Model` with its `PhiMoEModel`.
pub struct PhiMoE {
    embed_tokens: Embedding,
    layers: Vec<PhiMoEDecoderLayer>,
    norm: LayerNorm,
    lm_head: Linear,
}

impl PhiMoE {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: (0..args.num_hidden_layers)
                .map(|index| PhiMoEDecoderLayer::new(&args, &model.pp("layers").pp(index)))
                .collect::<Result<_>>()?,
            norm: model.layer_norm("norm", dim, args.rms_norm_eps, true)?,
            lm_head: w.linear("lm_head", dim, vocab, true)?,
        })
    }
}

impl Model for PhiMoE {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        let mask = create_attention_mask(&h, cache.first().map(AsRef::as_ref), None)?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            h = layer.forward(&h, &mask, cache.as_mut())?;
        }
        self.norm.forward(&h)
    }

    fn logits(&self, hidden: &Array) -> Result<Array> {
        self.lm_head.forward(hidden)
    }

    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn vocab_size(&self) -> i32 {
        self.embed_tokens.rows()
    }
}
