// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma4_text.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The attention of Gemma 3n and Gemma 4, whose last layers use the keys and values of an earlier layer.

use std::rc::Rc;

use mlx_rs::Array;

use crate::{
    attention::{KeysValues, Mask, scaled_dot_product_attention},
    cache::Cache,
    error::{Error, Result},
    models::{common::Heads, config},
    nn::{FusedLinear, Linear, RmsNorm, Rope},
    weights::Weights,
};

/// Options of one layer's attention.
pub struct AttentionArgs {
    pub hidden_size: i32,
    pub n_heads: i32,
    pub n_kv_heads: i32,
    pub head_dim: i32,
    pub rms_norm_eps: f32,
    /// Whether the layer has its own keys and values.
    pub has_kv: bool,
    /// Whether one projection computes both.
    pub use_k_eq_v: bool,
    pub rope: Rc<Rope>,
}

enum Projections {
    Own { qkv_proj: FusedLinear, use_k_eq_v: bool, k_norm: RmsNorm },
    Shared { q_proj: Linear },
}

pub struct Attention {
    n_heads: i32,
    n_kv_heads: i32,
    projections: Projections,
    o_proj: Linear,
    q_norm: RmsNorm,
    v_norm: RmsNorm,
    rope: Rc<Rope>,
}

impl Attention {
    pub fn new(args: AttentionArgs, w: &Weights) -> Result<Self> {
        let AttentionArgs { hidden_size: dim, n_heads, n_kv_heads, head_dim, rms_norm_eps: eps, .. } = args;
        let (q, kv) = (n_heads * head_dim, n_kv_heads * head_dim);
        let projections = if args.has_kv {
            let mut parts = vec![("q_proj", q), ("k_proj", kv)];
            if !args.use_k_eq_v {
                parts.push(("v_proj", kv));
            }
            Projections::Own {
                qkv_proj: w.fused_linear(&parts, dim, false)?,
                use_k_eq_v: args.use_k_eq_v,
                k_norm: w.rms_norm("k_norm", head_dim, eps)?,
            }
        } else {
            Projections::Shared { q_proj: w.linear("q_proj", dim, q, false)? }
        };
        Ok(Self {
            n_heads,
            n_kv_heads,
            projections,
            o_proj: w.linear("o_proj", q, dim, false)?,
            q_norm: w.rms_norm("q_norm", head_dim, eps)?,
            v_norm: RmsNorm::without_weight(eps),
            rope: args.rope,
        })
    }

    pub fn has_kv(&self) -> bool {
        matches!(self.projections, Projections::Own { .. })
    }

    /// x: (B, L, D) at position `offset` → (B, L, D)
    ///
    /// `latest` is what the last layer of this kind looked at: one with keys and values of its own replaces it, one
    /// without looks at it too.
    pub fn forward(
        &self,
        x: &Array,
        mask: &Mask,
        cache: Option<&mut dyn Cache>,
        latest: &mut Option<KeysValues>,
        offset: i32,
    ) -> Result<Array> {
        let heads = Heads::of(x)?;
        let queries = match &self.projections {
            Projections::Own { qkv_proj, use_k_eq_v, k_norm } => {
                let (queries, keys, values) = if *use_k_eq_v {
                    let [queries, keys] = qkv_proj.forward(x)?;
                    (queries, keys.clone(), keys)
                } else {
                    qkv_proj.forward(x)?.into()
                };
                let keys = k_norm.forward(&heads.split(&keys, self.n_kv_heads)?)?;
                let keys = self.rope.forward(&heads.first(keys)?, offset)?;
                let values = heads.first(self.v_norm.forward(&heads.split(&values, self.n_kv_heads)?)?)?;
                let cache = cache.ok_or_else(|| Error::internal("a layer without its cache"))?;
                *latest = Some(cache.update_and_fetch(&keys, &values)?);
                queries
            }
            Projections::Shared { q_proj } => q_proj.forward(x)?,
        };
        let queries = self.q_norm.forward(&heads.split(&queries, self.n_heads)?)?;
        let queries = self.rope.forward(&heads.first(queries)?, offset)?;
        let cached = latest.as_ref().ok_or_else(|| Error::internal("no layer to share keys and values with"))?;
        let output = scaled_dot_product_attention(&queries, cached, 1.0, mask, None)?;
        self.o_proj.forward(&heads.join(output)?)
    }
}

/// The latest keys and values of either kind of layer.
#[derive(Default)]
pub struct Latest {
    full: Option<KeysValues>,
    sliding: Option<KeysValues>,
}

impl Latest {
    pub fn of(&mut self, sliding: bool) -> &mut Option<KeysValues> {
        if sliding { &mut self.sliding } else { &mut self.full }
    }
}

/// Number of layers with their own keys and values; the last `shared` layers use those of the last such layer of their
/// kind.
pub fn layers_with_kv(sliding: &[bool], shared: i32) -> Result<usize> {
    let invalid = |message: String| config::invalid("num_kv_shared_layers", message);
    let own = usize::try_from(shared).ok().and_then(|shared| sliding.len().checked_sub(shared)).unwrap_or(0);
    let (owners, sharers) = sliding.split_at(own);
    if owners.is_empty() {
        return Err(invalid(format!("{shared} is not less than the {} layers", sliding.len())));
    }
    if sharers.iter().any(|kind| !owners.contains(kind)) {
        return Err(invalid(format!("{shared} leaves no layer of each kind to share with")));
    }
    Ok(own)
}
