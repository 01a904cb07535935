// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/base.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Attention masks and scaled dot-product attention.

use mlx_rs::{
    Array, Dtype,
    fast::{self, ScaledDotProductAttentionMask},
    ops,
};

use crate::{
    cache::{Cache, Caches, KeysValues},
    error::{Error, Result},
    mlx::{self, QuantizedArray},
};

/// Which earlier tokens a token may look at.
#[derive(Debug)]
pub enum Mask {
    /// All that the cache gives.
    None,
    /// Those before it; the kernel knows how.
    Causal,
    /// Those marked `true` in an array that broadcasts to (B, H, L, S).
    Array(Array),
}

impl Mask {
    /// The mask as an array for `queries` new tokens among `keys`, or `None` if everything is seen.
    pub fn to_array(&self, queries: i32, keys: i32) -> Result<Option<Array>> {
        match self {
            Self::None => Ok(None),
            Self::Causal => Ok(Some(create_causal_mask(queries, keys - queries, None)?)),
            Self::Array(mask) => Ok(Some(mask.clone())),
        }
    }
}

/// (length, offset + length) of booleans: each token sees itself and those before it, at most `window` in all.
pub fn create_causal_mask(length: i32, offset: i32, window: Option<i32>) -> Result<Array> {
    let keys = ops::arange::<_, i32>(0, offset + length, 1)?.expand_dims(0)?;
    let queries = ops::arange::<_, i32>(offset, offset + length, 1)?.expand_dims(1)?;
    let mask = queries.ge(&keys)?;
    match window {
        Some(window) => Ok(mask.logical_and(queries.lt(keys.add(Array::from_int(window))?)?)?),
        None => Ok(mask),
    }
}

/// The mask for `length` tokens over a cache that keeps everything.
pub fn mask_of_all(length: i32, offset: i32, window: Option<i32>) -> Result<Mask> {
    match window {
        Some(_) => Ok(Mask::Array(create_causal_mask(length, offset, window)?)),
        None if length == 1 => Ok(Mask::None),
        None => Ok(Mask::Causal),
    }
}

/// The mask for hidden states `h` of (B, L, …), as the cache of a layer has it.
pub fn create_attention_mask(h: &Array, cache: Option<&dyn Cache>, window: Option<i32>) -> Result<Mask> {
    let length = mlx::dim(h, 1);
    match cache {
        Some(cache) => cache.make_mask(length, window),
        None => Ok(Mask::None),
    }
}

/// The masks of a model some of whose layers see only a window.
#[derive(Debug)]
pub struct MixedMasks {
    full: Mask,
    sliding: Mask,
}

impl MixedMasks {
    /// As the first cache of either kind has them; `sliding` says which kind each layer is of.
    pub fn new(h: &Array, caches: &Caches, sliding: impl Iterator<Item = bool>, window: i32) -> Result<Self> {
        let (mut full, mut windowed) = (None, None);
        for (cache, sliding) in caches.iter().zip(sliding) {
            let first = if sliding { &mut windowed } else { &mut full };
            first.get_or_insert(cache.as_ref());
        }
        let mask = |cache: Option<&dyn Cache>, window| create_attention_mask(h, cache, window);
        Ok(Self { full: mask(full, None)?, sliding: mask(windowed, Some(window))? })
    }

    pub fn of(&self, sliding: bool) -> &Mask {
        if sliding { &self.sliding } else { &self.full }
    }
}

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
    Ok(fast::scaled_dot_product_attention(queries, keys, values, scale, mask, sinks)?)
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

    use super::*;
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
