// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/base.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Scaled dot-product attention.

use mlx_rs::{Array, Dtype, fast::ScaledDotProductAttentionMask, ops};

use super::{KeysValues, Mask};
use crate::{
    error::{Error, Result},
    mlx::{self, QuantizedArray},
};

/// queries: (B, H, L, D), keys and values: (B, KV heads, S, D), sinks: (H,) → (B, H, L, D)
pub fn scaled_dot_product_attention(
    queries: &Array,
    cached: &KeysValues,
    scale: f32,
    mask: &Mask,
    sinks: Option<&Array>,
) -> Result<Array> {
    let (keys, values) = match cached {
        KeysValues::Dense { keys, values } => (keys, values),
        // Where they would be dequantized anyway, the fused kernel is the better one.
        KeysValues::Quantized { .. } if mlx::lacks_batched_kernel() => {
            let (keys, values) = cached.clone().dense(queries.dtype())?;
            return scaled_dot_product_attention(queries, &KeysValues::Dense { keys, values }, scale, mask, sinks);
        }
        KeysValues::Quantized { keys, values } => {
            return quantized_scaled_dot_product_attention(queries, keys, values, scale, mask, sinks);
        }
    };
    let mask = match mask {
        Mask::None => None,
        Mask::Causal => Some(ScaledDotProductAttentionMask::Causal),
        Mask::Array(mask) => Some(ScaledDotProductAttentionMask::Array(mask)),
    };
    mlx::attention(queries, keys, values, scale, mask, sinks)
}

/// The same over quantized keys and values. mlx-lm refuses sinks here; they take part in the softmax as one more key
/// whose value is zero.
fn quantized_scaled_dot_product_attention(
    queries: &Array,
    keys: &QuantizedArray,
    values: &QuantizedArray,
    scale: f32,
    mask: &Mask,
    sinks: Option<&Array>,
) -> Result<Array> {
    let &[b, heads, l, d] = queries.shape() else { return Err(Error::internal("queries are not (B, H, L, D)")) };
    let kv_heads = mlx::dim(&keys.weight, 1).max(1);
    let repeats = heads / kv_heads;
    // (B, H, L, D) -> (B, KV heads, repeats, L, D)
    let queries = queries.multiply(mlx::scalar(scale, queries.dtype())?)?.reshape(&[b, kv_heads, repeats, l, d])?;
    let keys = keys.map(|part| Ok(part.expand_dims(2)?))?;
    let values = values.map(|part| Ok(part.expand_dims(2)?))?;

    let mut scores = keys.matmul(&queries, true)?;
    let seen = mlx::dim(&scores, 4);
    if let Some(mut mask) = mask.to_array(l, seen)? {
        if mask.ndim() > 3 {
            mask = mask.expand_dims(-3)?;
        }
        scores = if mask.dtype() == Dtype::Bool {
            ops::select(mask, &scores, lowest(scores.dtype())?)?
        } else {
            scores.add(mask)?
        };
    }
    if let Some(sinks) = sinks {
        let sinks = sinks.as_dtype(scores.dtype())?.reshape(&[1, kv_heads, repeats, 1, 1])?;
        let column = ops::broadcast_to(sinks, &[b, kv_heads, repeats, l, 1])?;
        scores = ops::concatenate(&[scores, column], -1)?;
    }
    let mut weights = ops::softmax_axis(scores, -1, true)?;
    if sinks.is_some() {
        weights = mlx::slice_axis(&weights, -1, 0, seen)?;
    }
    Ok(values.matmul(&weights, false)?.reshape(&[b, heads, l, -1])?)
}

/// The most negative finite number of a dtype, which masks a score.
pub fn lowest(dtype: Dtype) -> Result<Array> {
    let value = match dtype {
        Dtype::Float16 => half::f16::MIN.to_f32(),
        Dtype::Bfloat16 => half::bf16::MIN.to_f32(),
        _ => f32::MIN,
    };
    Ok(mlx::scalar(value, dtype)?)
}

#[cfg(test)]
mod tests {
    use mlx_rs::random;

    use super::{super::mask_of_all, *};
    use crate::mlx::{Quantization, QuantizationMode};

    #[test]
    fn quantized_attention_equals_dense_attention_with_sinks_and_a_window() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let (heads, kv_heads, length, seen, dims, scale) = (4, 2, 5, 12, 32, 0.4);
        let quantization = Quantization { group_size: 32, bits: 8, mode: QuantizationMode::Affine };
        let uniform = |seed, shape: &[i32]| {
            let key = random::key(seed).unwrap();
            random::uniform::<_, f32>(-2.0, 2.0, shape, &key).unwrap()
        };
        let quantized =
            |seed| QuantizedArray::quantize(&uniform(seed, &[2, kv_heads, seen, dims]), quantization).unwrap();
        let cached = KeysValues::Quantized { keys: quantized(1), values: quantized(2) };
        let (keys, values) = cached.clone().dense(Dtype::Float32).unwrap();
        let dense = KeysValues::Dense { keys, values };
        let (queries, sinks) = (uniform(0, &[2, heads, length, dims]), uniform(3, &[heads]));

        let attend = |cached: &KeysValues, window: Option<i32>, sinks: Option<&Array>| {
            let mask = mask_of_all(length, seen - length, window).unwrap();
            let output = scaled_dot_product_attention(&queries, cached, scale, &mask, sinks).unwrap();
            assert_eq!(output.shape(), [2, heads, length, dims]);
            output.to_vec_exact::<f32>().unwrap()
        };
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        for (window, sinks) in [(None, None), (Some(4), None), (None, Some(&sinks)), (Some(4), Some(&sinks))] {
            let (ours, theirs) = (attend(&cached, window, sinks), attend(&dense, window, sinks));
            assert!(apart(&ours, &theirs) < 1e-4, "window {window:?}, sinks {}", sinks.is_some());
        }
        // both matter here
        let both = attend(&cached, Some(4), Some(&sinks));
        assert!(apart(&both, &attend(&cached, None, Some(&sinks))) > 1e-2);
        assert!(apart(&both, &attend(&cached, Some(4), None)) > 1e-2);
    }
}
