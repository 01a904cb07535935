// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_next.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The arguments, also for the configs of Qwen3.5.
//!
//! Differs from mlx-lm: `layer_types` wins over `full_attention_interval`.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    models::config,
    nn::Rope,
};

#[derive(Debug, Deserialize)]
pub struct ModelArgs {
    pub(super) hidden_size: i32,
    pub(super) num_hidden_layers: i32,
    pub(super) intermediate_size: i32,
    pub(super) num_attention_heads: i32,
    pub(super) linear_num_value_heads: i32,
    pub(super) linear_num_key_heads: i32,
    pub(super) linear_key_head_dim: i32,
    pub(super) linear_value_head_dim: i32,
    pub(super) linear_conv_kernel_dim: i32,
    pub(super) num_experts: i32,
    pub(super) num_experts_per_tok: i32,
    pub(super) decoder_sparse_step: i32,
    pub(super) shared_expert_intermediate_size: i32,
    pub(super) mlp_only_layers: Vec<i32>,
    pub(super) moe_intermediate_size: i32,
    pub(super) rms_norm_eps: f32,
    pub(super) vocab_size: i32,
    pub(super) num_key_value_heads: i32,
    pub(super) rope_theta: f32,
    pub(super) partial_rotary_factor: f64,
    pub(super) max_position_embeddings: i32,
    pub(super) head_dim: Option<i32>,
    #[serde(default = "config::yes")]
    pub(super) norm_topk_prob: bool,
    #[serde(default)]
    pub(super) tie_word_embeddings: bool,
    #[serde(default)]
    pub(super) attention_bias: bool,
    pub(super) rope_scaling: Option<Map<String, Value>>,
    pub(super) full_attention_interval: i32,
    /// Wins over `full_attention_interval`.
    layer_types: Option<Vec<String>>,
}

impl ModelArgs {
    /// Reads a config, with `defaults` for missing or null fields.
    pub fn new(config: &Map<String, Value>, defaults: Value) -> Result<Self> {
        let Value::Object(mut fields) = defaults else { return Err(Error::internal("defaults are no object")) };
        fields.extend(config.iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.clone(), v.clone())));
        let args: Self = config::parse(&fields)?;
        args.check()?;
        Ok(args)
    }

    pub(super) fn head_dim(&self) -> i32 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    pub(super) fn rope(&self) -> Result<Rope> {
        let (scaling, max_positions) = (self.rope_scaling.as_ref(), Some(self.max_position_embeddings));
        Rope::new(self.rope_dims(), self.rope_theta, false, scaling, max_positions)
    }

    fn rope_dims(&self) -> i32 {
        (f64::from(self.head_dim()) * self.partial_rotary_factor) as i32
    }

    pub(super) fn is_linear(&self, layer: i32) -> bool {
        let kind = self.layer_types.as_ref().and_then(|types| types.get(usize::try_from(layer).ok()?));
        kind.map_or((layer + 1) % self.full_attention_interval != 0, |kind| kind == "linear_attention")
    }

    pub(super) fn has_experts(&self, layer: i32) -> bool {
        self.num_experts > 0 && !self.mlp_only_layers.contains(&layer) && (layer + 1) % self.decoder_sparse_step == 0
    }

    fn check(&self) -> Result<()> {
        let (key_dim, value_dim) = (
            self.linear_num_key_heads.saturating_mul(self.linear_key_head_dim),
            self.linear_num_value_heads.saturating_mul(self.linear_value_head_dim),
        );
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("linear_num_value_heads", self.linear_num_value_heads),
            ("linear_num_key_heads", self.linear_num_key_heads),
            ("linear_key_head_dim", self.linear_key_head_dim),
            ("linear_value_head_dim", self.linear_value_head_dim),
            ("linear_num_key_heads * linear_key_head_dim", key_dim),
            ("linear_num_value_heads * linear_value_head_dim", value_dim),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("full_attention_interval", self.full_attention_interval),
        ])?;
        if let Some(types) = &self.layer_types {
            let known = |kind: &String| matches!(kind.as_str(), "linear_attention" | "full_attention");
            config::check_length("layer_types", Some(types), self.num_hidden_layers)?;
            if let Some(kind) = types.iter().find(|kind| !known(kind)) {
                return Err(config::invalid("layer_types", format!("'{kind}' is not supported")));
            }
        }
        config::check_layers("mlp_only_layers", Some(&self.mlp_only_layers), self.num_hidden_layers)?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim())?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)?;
        config::check_positive("rope_theta", self.rope_theta)?;
        let (dims, most) = (self.rope_dims(), self.head_dim());
        if !(2..=most).contains(&dims) || dims % 2 != 0 {
            let message = format!("{dims} features of {most} cannot be rotated in pairs");
            return Err(config::invalid("partial_rotary_factor", message));
        }
        if self.linear_num_value_heads % self.linear_num_key_heads != 0 {
            return Err(config::invalid("linear_num_value_heads", "is not a multiple of linear_num_key_heads"));
        }
        if !(2..=64).contains(&self.linear_conv_kernel_dim) {
            return Err(config::invalid("linear_conv_kernel_dim", "is not between 2 and 64"));
        }
        if self.num_experts <= 0 {
            return Ok(());
        }
        config::check_sizes(&[
            ("num_experts", self.num_experts),
            ("decoder_sparse_step", self.decoder_sparse_step),
            ("shared_expert_intermediate_size", self.shared_expert_intermediate_size),
            ("moe_intermediate_size", self.moe_intermediate_size),
        ])?;
        if !(1..=self.num_experts).contains(&self.num_experts_per_tok) {
            return Err(config::invalid("num_experts_per_tok", "is not between 1 and num_experts"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(name: &str, value: Value) -> String {
        let mut config = json!({
            "hidden_size": 8, "num_hidden_layers": 4, "intermediate_size": 8, "num_attention_heads": 2,
            "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 4, "linear_value_head_dim": 4,
            "linear_conv_kernel_dim": 4, "num_experts": 4, "num_experts_per_tok": 2, "decoder_sparse_step": 1,
            "shared_expert_intermediate_size": 8, "mlp_only_layers": null, "moe_intermediate_size": 8,
            "rms_norm_eps": 1e-6, "vocab_size": 8, "num_key_value_heads": 1, "rope_theta": 1e4,
            "partial_rotary_factor": 0.5, "max_position_embeddings": 64, "head_dim": null, "norm_topk_prob": null,
        });
        config[name] = value;
        let defaults = json!({ "full_attention_interval": 4, "mlp_only_layers": [] });
        match ModelArgs::new(config.as_object().unwrap(), defaults) {
            Err(Error::ConfigInvalid { field, .. }) => field,
            Err(other) => panic!("{other:?}"),
            Ok(_) => String::new(),
        }
    }

    #[test]
    fn impossible_settings_name_their_field() {
        assert_eq!(refused("rope_scaling", Value::Null), "");
        for (name, value) in [
            ("full_attention_interval", 0),
            ("decoder_sparse_step", 0),
            ("linear_num_value_heads", 3),
            ("linear_num_key_heads", 0),
            ("linear_conv_kernel_dim", 1),
            ("num_experts_per_tok", 5),
            ("partial_rotary_factor", 2),
        ] {
            assert_eq!(refused(name, json!(value)), name);
        }
        assert_eq!(refused("linear_key_head_dim", json!(i32::MAX)), "linear_key_head_dim");
    }
}
