// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama.py
// Original: mlx_lm/models/qwen3.py
// Original: mlx_lm/models/phi3.py
// Original: mlx_lm/models/gpt_oss.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The attention of most architectures, with the options in which they differ.

use std::rc::Rc;

use mlx_rs::{Array, Dtype};

use super::{Heads, Layer, Pass};
use crate::{
    attention::scaled_dot_product_attention,
    cache::Cache,
    error::Result,
    mlx::{self, JoinedHeads},
    nn::{FusedLinear, Linear, Norm, Rope, Rows},
    weights::Weights,
};

/// The options of a layer's attention. The sizes have been checked.
#[derive(Default)]
pub struct AttentionArgs {
    pub dim: i32,
    pub n_heads: i32,
    pub n_kv_heads: i32,
    pub head_dim: i32,
    /// Factor of the scores, if not `head_dim ** -0.5`.
    pub scale: Option<f32>,
    /// Whether `q_proj`, `k_proj` and `v_proj` have biases.
    pub qkv_bias: bool,
    /// Whether the output projection has a bias.
    pub o_bias: bool,
    /// The name of the output projection, if not `o_proj`.
    pub o_name: Option<&'static str>,
    /// Whether queries, keys and values come from one matrix, `qkv_proj`.
    pub packed_qkv: bool,
    /// The norms of each head's queries and keys, applied before the rotation.
    pub qk_norm: Option<[Norm; 2]>,
    /// `None` for layers without positions.
    pub rope: Option<Rc<Rope>>,
    /// One extra score per head, (H,), which takes part in the softmax but has no token.
    pub sinks: Option<Array>,
    /// Number of tokens that the layer sees, if not all.
    pub window: Option<i32>,
    /// Whether scores are computed in f32, whatever the model's dtype.
    pub wide_scores: bool,
}

impl AttentionArgs {
    /// Attention without positions, biases and other options.
    pub fn new(dim: i32, n_heads: i32, n_kv_heads: i32, head_dim: i32) -> Self {
        Self { dim, n_heads, n_kv_heads, head_dim, ..Self::default() }
    }
}

/// The projections from hidden states to heads, and back.
pub struct Projections {
    n_heads: i32,
    n_kv_heads: i32,
    qkv_proj: FusedLinear,
    o_proj: Linear,
}

impl Projections {
    pub fn new(args: &AttentionArgs, w: &Weights) -> Result<Self> {
        let AttentionArgs { dim, n_heads, n_kv_heads, head_dim, .. } = *args;
        let (q, kv) = (n_heads * head_dim, n_kv_heads * head_dim);
        Ok(Self {
            n_heads,
            n_kv_heads,
            qkv_proj: if args.packed_qkv {
                let linear = w.linear("qkv_proj", dim, q + 2 * kv, args.qkv_bias)?;
                FusedLinear::Fused { linear, inner_ends: vec![q, q + kv] }
            } else {
                let parts = [("q_proj", q), ("k_proj", kv), ("v_proj", kv)];
                w.fused_linear(&parts, dim, args.qkv_bias)?
            },
            o_proj: w.linear(args.o_name.unwrap_or("o_proj"), q, dim, args.o_bias)?,
        })
    }

    /// Queries and keys are normalized, and rotated by `rope`, the first of them at position `offset`. x: (B, L, D) →
    /// queries (B, H, L, D), keys and values (B, KV heads, L, D)
    pub fn heads<'a>(
        &self,
        rows: impl Into<Rows<'a>>,
        qk_norm: Option<&[Norm; 2]>,
        rope: Option<&Rope>,
        offset: i32,
    ) -> Result<[Array; 3]> {
        let rows = rows.into();
        let heads = Heads::of(rows.x)?;
        let (q, kv) = (self.n_heads, self.n_kv_heads);
        let joined = self.qkv_proj.forward_fused(rows).transpose()?;
        if let (Some(qkv), Some(rope)) = (&joined, rope)
            && let Some(rotated) = self.rotated(qkv, qk_norm, rope, offset)?
        {
            return Ok(rotated);
        }
        let [mut queries, mut keys, values] = match (joined, qk_norm) {
            (Some(qkv), None) => {
                let qkv = heads.first(heads.split(&qkv, q + 2 * kv)?)?;
                mlx::split(&qkv, &[q, q + kv], 1)?
            }
            (joined, qk_norm) => {
                let [queries, keys, values] = match joined {
                    Some(qkv) => self.qkv_proj.split(&qkv)?,
                    None => self.qkv_proj.forward(rows)?,
                };
                let (mut queries, mut keys) = (heads.split(&queries, q)?, heads.split(&keys, kv)?);
                if let Some([q_norm, k_norm]) = qk_norm {
                    (queries, keys) = (q_norm.forward(&queries)?, k_norm.forward(&keys)?);
                }
                [heads.first(queries)?, heads.first(keys)?, heads.first(heads.split(&values, kv)?)?]
            }
        };
        if let Some(rope) = rope {
            (queries, keys) = (rope.forward(&queries, offset)?, rope.forward(&keys, offset)?);
        }
        Ok([queries, keys, values])
    }

    /// The same in one step, or one for queries and one for keys, where there is a kernel for that. qkv: (B, L, all features)
    fn rotated(
        &self,
        qkv: &Array,
        qk_norm: Option<&[Norm; 2]>,
        rope: &Rope,
        offset: i32,
    ) -> Result<Option<[Array; 3]>> {
        let (q, kv) = (self.n_heads, self.n_kv_heads);
        let width = mlx::dim(qkv, 2);
        let dims = width / (q + 2 * kv);
        let norms = match qk_norm {
            None => None,
            Some([Norm::Rms(q), Norm::Rms(k)]) => Some([q.parts(), k.parts()]),
            Some(_) => return Ok(None),
        };
        let joined = JoinedHeads { qkv, heads: [q, kv], dims, norms, offset };
        let Some([queries, keys]) = rope.forward_heads(&joined).transpose()? else { return Ok(None) };
        let heads = Heads::of(qkv)?;
        let values = heads.split(&mlx::slice_axis(qkv, -1, (q + kv) * dims, width)?, kv)?;
        Ok(Some([queries, keys, heads.first(values)?]))
    }

    /// Output of attention to x, (B, H, L, D) → hidden states (B, L, D)
    pub fn output(&self, x: &Array, attended: Array) -> Result<Array> {
        self.o_proj.forward(&Heads::of(x)?.join(attended)?)
    }

    /// The same plus x.
    fn residual_output(&self, x: &Array, attended: Array) -> Result<Array> {
        self.o_proj.forward_rows(&Heads::of(x)?.join(attended)?, Some(x))
    }
}

/// Grouped-query attention with the fused kernel.
pub struct Attention {
    projections: Projections,
    scale: f32,
    qk_norm: Option<[Norm; 2]>,
    rope: Option<Rc<Rope>>,
    sinks: Option<Array>,
    window: Option<i32>,
    wide_scores: bool,
}

impl Attention {
    pub fn new(args: AttentionArgs, w: &Weights) -> Result<Self> {
        Ok(Self {
            projections: Projections::new(&args, w)?,
            scale: args.scale.unwrap_or_else(|| (args.head_dim as f32).powf(-0.5)),
            qk_norm: args.qk_norm,
            rope: args.rope,
            sinks: args.sinks,
            window: args.window,
            wide_scores: args.wide_scores,
        })
    }
}

impl Attention {
    /// What heads see, (B, H, L, D).
    fn attend(&self, rows: Rows, pass: &Pass, cache: &mut dyn Cache) -> Result<Array> {
        let [mut queries, keys, values] =
            self.projections.heads(rows, self.qk_norm.as_ref(), self.rope.as_deref(), cache.offset())?;
        if let Some(scale) = &pass.query_scale {
            queries = queries.multiply(scale)?;
        }
        let cached = cache.update_and_fetch(&keys, &values)?;
        if self.wide_scores {
            queries = queries.as_dtype(Dtype::Float32)?;
        }
        let mask = pass.masks.of(self.window.is_some());
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, mask, self.sinks.as_ref())?;
        if self.wide_scores { Ok(output.as_dtype(rows.x.dtype())?) } else { Ok(output) }
    }
}

impl Layer for Attention {
    fn forward(&self, x: &Array, pass: &Pass, cache: &mut dyn Cache) -> Result<Array> {
        self.projections.output(x, self.attend(x.into(), pass, cache)?)
    }

    fn forward_residual(&self, x: &Array, norm: &Norm, pass: &Pass, cache: &mut dyn Cache) -> Result<Array> {
        self.projections.residual_output(x, self.attend(norm.of(x), pass, cache)?)
    }

    fn window(&self) -> Option<i32> {
        self.window
    }
}
