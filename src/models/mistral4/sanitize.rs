// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/mistral4.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: that commit does not have the file.

//! The checkpoint layouts of Mistral 4.

use super::ModelArgs;
use crate::{
    error::{Error, Result},
    mlx::{self, Quantization, QuantizationMode, QuantizedArray},
    models::common::{drop_inv_freq, drop_tied_lm_head},
    weights::Weights,
};

pub fn sanitize(args: &ModelArgs, w: &Weights) -> Result<()> {
    drop_inv_freq(w);
    drop_tied_lm_head(args.tie_word_embeddings, w);
    w.unpack_int4()?;
    w.dequantize_fp8()?;
    for index in 0..args.num_hidden_layers {
        let layer = w.pp("model.layers").pp(index);
        join_experts(args, &layer.pp("mlp"))?;
        absorb_kv_b_proj(args, &layer.pp("self_attn"))?;
    }
    Ok(())
}

/// Handles experts with one tensor for gate and up, and experts with separate tensors.
fn join_experts(args: &ModelArgs, w: &Weights) -> Result<()> {
    if let Some(gate_up) = w.remove("experts.gate_up_proj") {
        // (experts, gate and up, D)
        let half = mlx::dim(&gate_up, 1) / 2;
        w.insert("switch_mlp.gate_proj.weight", mlx::slice_axis(&gate_up, 1, 0, half)?);
        w.insert("switch_mlp.up_proj.weight", mlx::slice_axis(&gate_up, 1, half, 2 * half)?);
    }
    if let Some(down) = w.remove("experts.down_proj") {
        w.insert("switch_mlp.down_proj.weight", down);
    }
    let names = ["gate_proj", "down_proj", "up_proj"].map(|name| (name, name));
    w.stack_experts("experts", args.n_routed_experts.unwrap_or(0), "switch_mlp", &names)
}

/// Splits `kv_b_proj`, which computes keys and values from the latent, into `embed_q` and `unembed_out`.
fn absorb_kv_b_proj(args: &ModelArgs, w: &Weights) -> Result<()> {
    let Some(weight) = w.remove("kv_b_proj.weight") else { return Ok(()) };
    let (heads, nope, v) = (args.num_attention_heads, args.qk_nope_head_dim, args.v_head_dim);
    let last = |array: &mlx_rs::Array| array.shape().last().copied().unwrap_or(0);
    let (weight, quantization) = match w.remove("kv_b_proj.scales") {
        None => (weight, None),
        Some(scales) => {
            let biases = w.remove("kv_b_proj.biases");
            let bits = last(&weight).saturating_mul(32) / args.kv_lora_rank;
            let group_size = args.kv_lora_rank.checked_div(last(&scales)).unwrap_or(0);
            let mode = QuantizationMode::ALL.into_iter().find(|mode| match mode.fixed() {
                None => biases.is_some(),
                fixed => biases.is_none() && fixed == Some((group_size, bits)),
            });
            let mode = mode.ok_or_else(|| {
                let problem = "kv_b_proj is quantized in a way that MLX does not have".to_owned();
                Error::WeightsMismatch { problems: vec![problem] }
            })?;
            let quantization = Quantization { group_size, bits, mode };
            (QuantizedArray { weight, scales, biases, quantization }.dequantize(None)?, Some(quantization))
        }
    };
    // (H * (nope + v), latent) -> (H, nope + v, latent)
    let weight = weight.reshape(&[heads, nope + v, -1])?;
    let embed_q = mlx::slice_axis(&weight, 1, 0, nope)?.swap_axes(-1, -2)?;
    let unembed_out = mlx::slice_axis(&weight, 1, nope, nope + v)?;
    for (name, matrices) in [("embed_q", embed_q), ("unembed_out", unembed_out)] {
        let at = w.pp(name);
        let Some(quantization) = quantization else {
            at.insert("weight", matrices.contiguous()?);
            continue;
        };
        let QuantizedArray { weight, scales, biases, .. } = QuantizedArray::quantize(&matrices, quantization)?;
        at.insert("weight", weight);
        at.insert("scales", scales);
        if let Some(biases) = biases {
            at.insert("biases", biases);
        }
    }
    Ok(())
}
