// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gpt_oss.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! GPT-OSS: experts with biases and a clipped activation, attention sinks, and windows in every second layer.

use mlx_rs::{Array, Dtype, ops};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::MixedMasks, config};
use crate::{
    attention::{Mask, scaled_dot_product_attention},
    cache::{Cache, Caches, make_mixed_caches},
    error::{Error, Result},
    nn::{
        Embedding, FusedLinear, Linear, RmsNorm, Rope, SwitchGlu,
        activations::swiglu_oai,
        switch_layers::{combine, top_k},
    },
    weights::Weights,
};

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct ModelArgs {
    num_hidden_layers: i32,
    num_local_experts: i32,
    num_experts_per_tok: i32,
    vocab_size: i32,
    rms_norm_eps: f32,
    hidden_size: i32,
    intermediate_size: i32,
    head_dim: i32,
    num_attention_heads: i32,
    num_key_value_heads: i32,
    sliding_window: i32,
    rope_theta: f32,
    rope_scaling: Option<Map<String, Value>>,
    layer_types: Option<Vec<String>>,
}

impl Default for ModelArgs {
    fn default() -> Self {
        Self {
            num_hidden_layers: 36,
            num_local_experts: 128,
            num_experts_per_tok: 4,
            vocab_size: 201_088,
            rms_norm_eps: 1e-5,
            hidden_size: 2880,
            intermediate_size: 2880,
            head_dim: 64,
            num_attention_heads: 64,
            num_key_value_heads: 8,
            sliding_window: 128,
            rope_theta: 150_000.0,
            rope_scaling: None,
            layer_types: None,
        }
    }
}

impl ModelArgs {
    /// Whether each layer sees only a window: every second one, from the first on, unless the config says otherwise.
    fn sliding(&self) -> Result<Vec<bool>> {
        match self.layer_types.as_deref() {
            None | Some([]) => Ok((0..self.num_hidden_layers).map(|layer| layer % 2 == 0).collect()),
            types => config::sliding_layers(types, self.num_hidden_layers),
        }
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("num_hidden_layers", self.num_hidden_layers),
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("sliding_window", self.sliding_window),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        config::check_experts(("num_local_experts", self.num_local_experts), self.num_experts_per_tok)?;
        config::check_positive("rope_theta", self.rope_theta)?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

struct AttentionBlock {
    head_dim: i32,
    num_attention_heads: i32,
    num_key_value_heads: i32,
    sinks: Array,
    qkv_proj: FusedLinear,
    o_proj: Linear,
    sm_scale: f32,
    rope: Rope,
}

impl AttentionBlock {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, head_dim) = (args.hidden_size, args.head_dim);
        let (q, kv) = (args.num_attention_heads * head_dim, args.num_key_value_heads * head_dim);
        Ok(Self {
            head_dim,
            num_attention_heads: args.num_attention_heads,
            num_key_value_heads: args.num_key_value_heads,
            sinks: w.tensor("sinks", &[args.num_attention_heads])?,
            qkv_proj: w.fused_linear(&[("q_proj", q), ("k_proj", kv), ("v_proj", kv)], dim, true)?,
            o_proj: w.linear("o_proj", q, dim, true)?,
            sm_scale: (head_dim as f32).powf(-0.5),
            rope: Rope::new(head_dim, args.rope_theta, false, args.rope_scaling.as_ref(), None)?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let &[b, l, _] = x.shape() else { return Err(Error::internal("hidden states are not (B, L, D)")) };
        let [q, k, v] = self.qkv_proj.forward(x)?;
        // (B, L, H * D) -> (B, H, L, D)
        let heads = |x: &Array, n: i32| x.reshape(&[b, l, n, self.head_dim])?.transpose_axes(&[0, 2, 1, 3]);
        let offset = cache.offset();
        let q = self.rope.forward(&heads(&q, self.num_attention_heads)?, offset)?;
        let k = self.rope.forward(&heads(&k, self.num_key_value_heads)?, offset)?;
        let cached = cache.update_and_fetch(&k, &heads(&v, self.num_key_value_heads)?)?;
        let v_hat = scaled_dot_product_attention(&q, &cached, self.sm_scale, mask, Some(&self.sinks))?;
        // (B, H, L, D) -> (B, L, H * D)
        self.o_proj.forward(&v_hat.transpose_axes(&[0, 2, 1, 3])?.reshape(&[b, l, -1])?)
    }
}

struct MlpBlock {
    num_experts_per_tok: i32,
    experts: SwitchGlu,
    router: Linear,
}

impl MlpBlock {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, hidden_dim, experts) = (args.hidden_size, args.intermediate_size, args.num_local_experts);
        Ok(Self {
            num_experts_per_tok: args.num_experts_per_tok,
            experts: w.switch_glu("experts", dim, hidden_dim, experts, swiglu_oai, true)?,
            router: w.linear("router", dim, experts, true)?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array) -> Result<Array> {
        let g = self.router.forward(x)?;
        let indices = top_k(&g, self.num_experts_per_tok)?;
        let expert_weights = ops::softmax_axis(g.take_along_axis(&indices, -1)?, -1, true)?;
        combine(&self.experts.forward(x, &indices)?, &expert_weights)
    }
}

struct TransformerBlock {
    self_attn: AttentionBlock,
    mlp: MlpBlock,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    use_sliding: bool,
}

impl TransformerBlock {
    fn new(args: &ModelArgs, use_sliding: bool, w: &Weights) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        Ok(Self {
            self_attn: AttentionBlock::new(args, &w.pp("self_attn"))?,
            mlp: MlpBlock::new(args, &w.pp("mlp"))?,
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
            use_sliding,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let x = x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache)?)?;
        Ok(x.add(self.mlp.forward(&self.post_attention_layernorm.forward(&x)?)?)?)
    }
}

/// mlx-lm's `Model` with its `GptOssMoeModel`.
pub struct GptOss {
    embed_tokens: Embedding,
    norm: RmsNorm,
    layers: Vec<TransformerBlock>,
    window_size: i32,
    lm_head: Linear,
}

impl GptOss {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        sanitize(w)?;
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            norm: model.rms_norm("norm", dim, args.rms_norm_eps)?,
            layers: args
                .sliding()?
                .into_iter()
                .enumerate()
                .map(|(i, sliding)| TransformerBlock::new(&args, sliding, &model.pp("layers").pp(i)))
                .collect::<Result<_>>()?,
            window_size: args.sliding_window,
            lm_head: w.linear("lm_head", dim, vocab, false)?,
        })
    }
}

/// The Hub's checkpoints have mxfp4 experts whose rows belong to gate and up in turn, in blocks of 16 bytes.
fn sanitize(w: &Weights) -> Result<()> {
    w.replace(|name, tensor| {
        let Some((module, part)) = name.rsplit_once("_proj_") else { return Ok(None) };
        let (part, tensor) = match part {
            // (E, rows, blocks, 16) -> (E, rows, columns / 8)
            "blocks" if tensor.shape().ends_with(&[16]) => {
                ("weight", tensor.view_dtype(Dtype::Uint32)?.flatten(-2, None)?)
            }
            "scales" | "bias" => (part, tensor.clone()),
            _ => return Ok(None),
        };
        let Some(experts) = module.strip_suffix("gate_up") else {
            return Ok(Some(vec![(format!("{module}_proj.{part}"), tensor)]));
        };
        let &[e, rows, ref columns @ ..] = tensor.shape() else { return Ok(None) };
        if rows % 2 != 0 {
            return Ok(None);
        }
        // (E, 2 F, …) -> (E, F, 2, …)
        let pairs = tensor.reshape(&[&[e, rows / 2, 2], columns].concat())?;
        let names = ["gate_proj", "up_proj"].map(|layer| format!("{experts}{layer}.{part}"));
        let halves = pairs.split_equal(2, 2)?.into_iter().map(|half| half.squeeze_axes(&[2]));
        Ok(Some(names.into_iter().zip(halves).map(|(name, half)| Ok((name, half?))).collect::<Result<_>>()?))
    })
}

impl Model for GptOss {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut x = self.embed_tokens.forward(tokens)?;
        let masks = MixedMasks::new(&x, cache, self.layers.iter().map(|layer| layer.use_sliding), self.window_size)?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            x = layer.forward(&x, masks.of(layer.use_sliding), cache.as_mut())?;
        }
        self.norm.forward(&x)
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

    fn make_cache(&self) -> Option<Caches> {
        Some(make_mixed_caches(self.layers.iter().map(|layer| layer.use_sliding), self.window_size))
    }
}
