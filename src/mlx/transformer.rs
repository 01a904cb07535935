// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Operations of a transformer besides products: by our own kernels on the CPU, else by MLX's, but for the attention of one
//! token on NVIDIA GPUs.

use std::sync::Arc;

use cpu_kernels::{Activation, Attention, Mask, RmsNorm};
use mlx_rs::{
    Array, Dtype,
    fast::{self, ScaledDotProductAttentionMask},
};

use super::{
    JoinedHeads,
    cpu::kernels,
    decode_attention,
    kernel::{Input, Layout, run_kernel},
};
use crate::error::Result;

/// Keeps every axis as it is.
const AS_IT_IS: [usize; 3] = [0; 3];

/// Whether kernels can read these arrays.
pub(super) fn are_usable(arrays: &[&Array]) -> bool {
    arrays.iter().all(|array| array.dtype() == Dtype::Float32 && (1..=4).contains(&array.ndim()) && array.size() > 0)
}

/// `x / sqrt(mean(x²) + eps) * weight` over the last axis; x: (…, D), weight: (D,)
pub fn rms_norm(x: &Array, weight: Option<&Array>, eps: f32) -> Result<Array> {
    let inputs: Vec<&Array> = [Some(x), weight].into_iter().flatten().collect();
    let Some(kernels) = kernels().filter(|_| are_usable(&inputs)) else { return Ok(fast::rms_norm(x, weight, eps)?) };
    run_kernel(Layout::Strided, &inputs, x.shape(), move |inputs, y| {
        // SAFETY: all are arrays of f32, and a weight has one axis.
        let (x, weight) = unsafe { (tensor(inputs, 0), inputs.get(1).map(|weight| weight.elements())) };
        kernels.rms_norm(x, RmsNorm { weight, eps }, y);
    })
}

/// `activation` of each gate and x, which have the same shape; `None` where MLX has to do.
pub fn gated(activation: Activation, gate: &Array, x: &Array) -> Option<Result<Array>> {
    let inputs = [gate, x];
    let kernels = kernels().filter(|_| are_usable(&inputs) && gate.shape() == x.shape())?;
    Some(run_kernel(Layout::Strided, &inputs, x.shape(), move |inputs, y| {
        // SAFETY: both are arrays of f32.
        let (gate, x) = unsafe { (tensor(inputs, 0), tensor(inputs, 1)) };
        kernels.gated(activation, gate, x, y);
    }))
}

/// The same of gates and values side by side; (…, 2 * D) → (…, D)
pub fn gated_halves(activation: Activation, both: &Array) -> Option<Result<Array>> {
    let (&width, others) = both.shape().split_last()?;
    let kernels = kernels().filter(|_| are_usable(&[both]) && width % 2 == 0)?;
    let half = width as usize / 2;
    Some(run_kernel(Layout::Strided, &[both], &[others, &[width / 2]].concat(), move |inputs, y| {
        // SAFETY: it is an array of f32.
        let both = unsafe { tensor(inputs, 0) };
        kernels.gated(activation, both.columns(0..half), both.columns(half..2 * half), y);
    }))
}

/// `log(sum(exp(x)))` over the last axis; (…, D) → (…, 1)
pub fn logsumexp(x: &Array) -> Result<Array> {
    let shape = x.shape().split_last().map(|(_, others)| [others, &[1]].concat());
    let (Some(kernels), Some(shape)) = (kernels().filter(|_| are_usable(&[x])), shape) else {
        return Ok(x.logsumexp_axis(-1, true)?);
    };
    run_kernel(Layout::Strided, &[x], &shape, move |inputs, y| {
        // SAFETY: it is an array of f32.
        kernels.logsumexp(unsafe { tensor(inputs, 0) }, y);
    })
}

/// `softmax(queries @ keys.T * scale + mask) @ values`; queries: (B, H, L, D), keys: (B, KV heads, S, D), values:
/// (B, KV heads, S, Dv), sinks: (H,) → (B, H, L, Dv)
pub fn attention(
    queries: &Array,
    keys: &Array,
    values: &Array,
    scale: f32,
    mask: Option<ScaledDotProductAttentionMask>,
    sinks: Option<&Array>,
) -> Result<Array> {
    // One token sees all before it.
    let is_masked = matches!(mask, Some(ScaledDotProductAttentionMask::Array(_)));
    let decoded = if is_masked { None } else { decode_attention::attention(queries, keys, values, scale, sinks) };
    match decoded.or_else(|| own_attention(queries, keys, values, scale, mask.as_ref(), sinks)) {
        Some(y) => y,
        None => Ok(fast::scaled_dot_product_attention(queries, keys, values, scale, mask, sinks)?),
    }
}

fn own_attention(
    queries: &Array,
    keys: &Array,
    values: &Array,
    scale: f32,
    mask: Option<&ScaledDotProductAttentionMask>,
    sinks: Option<&Array>,
) -> Option<Result<Array>> {
    let kernels = kernels()?;
    let (&[batch, heads, length, _], &[.., seen, value_dims]) = (queries.shape(), values.shape()) else { return None };
    let array = match mask {
        Some(ScaledDotProductAttentionMask::Array(mask)) => Some(*mask),
        _ => None,
    };
    let is_causal = matches!(mask, Some(ScaledDotProductAttentionMask::Causal));
    let is_boolean = array.is_some_and(|mask| mask.dtype() == Dtype::Bool);
    let inputs: Vec<&Array> = [queries, keys, values].into_iter().chain(sinks).collect();
    let is_usable = are_usable(&inputs)
        && inputs.iter().take(3).all(|array| array.ndim() == 4)
        && !(is_causal && length > seen)
        && array.is_none_or(|mask| {
            let is_typed = is_boolean || mask.dtype() == Dtype::Float32;
            is_typed && mask.ndim() <= 4 && mask.shape().last() == Some(&seen)
        });
    if !is_usable {
        return None;
    }
    let has_sinks = sinks.is_some();
    let inputs: Vec<&Array> = inputs.into_iter().chain(array).collect();
    let full = [batch, heads, length].map(|length| usize::try_from(length).unwrap_or(0));
    Some(run_kernel(Layout::Strided, &inputs, &[batch, heads, length, value_dims], move |inputs, y| {
        // SAFETY: all are arrays of f32 but for a boolean mask, whose elements are bytes; sinks have one axis.
        unsafe {
            let sinks = inputs.get(3).filter(|_| has_sinks).map(|sinks| sinks.elements());
            let mask = match inputs.get(if has_sinks { 4 } else { 3 }) {
                None if is_causal => Mask::Causal,
                None => Mask::All,
                Some(mask) if is_boolean => Mask::Seen(mask.tensor(full).unwrap_or_else(|| unreachable!("strides"))),
                Some(mask) => Mask::Added(mask.tensor(full).unwrap_or_else(|| unreachable!("strides"))),
            };
            let (queries, keys, values) = (tensor(inputs, 0), tensor(inputs, 1), tensor(inputs, 2));
            kernels.attention(&Attention { queries, keys, values, scale, mask, sinks }, y);
        }
    }))
}

/// A rotation by positions, which our kernels do; without them, and for other dtypes than f32, MLX has to.
#[derive(Debug)]
pub struct Rotation(Arc<cpu_kernels::Rotation>);

impl Rotation {
    /// `frequencies`: the angle from one position to the next for each pair of features. A pair is two neighbours, if
    /// `traditional`, or one feature of the first and one of the second half.
    pub fn new(frequencies: Vec<f32>, traditional: bool) -> Self {
        Self(Arc::new(cpu_kernels::Rotation::new(frequencies, traditional)))
    }

    /// x: (B, H, L, D), the first row at position `offset` → (B, H, L, D); `None` where MLX has to do.
    pub fn rotate(&self, x: &Array, offset: i32) -> Option<Result<Array>> {
        let &[.., dims] = x.shape() else { return None };
        let is_usable = are_usable(&[x]) && x.ndim() == 4 && self.0.dims() <= dims as usize;
        let kernels = kernels().filter(|_| is_usable)?;
        let rotation = Arc::clone(&self.0);
        Some(run_kernel(Layout::Strided, &[x], x.shape(), move |inputs, y| {
            // SAFETY: it is an array of f32.
            kernels.rope(&rotation, unsafe { tensor(inputs, 0) }, None, i64::from(offset), y);
        }))
    }

    /// Queries (B, H, L, D) and keys (B, KV heads, L, D), normalized and then rotated; `None` where MLX has to do.
    pub fn rotate_heads(&self, joined: &JoinedHeads) -> Option<Result<[Array; 2]>> {
        let [q, kv] = joined.heads;
        let [q_norm, k_norm] = joined.norms.map_or([None; 2], |norms| norms.map(Some));
        let queries = self.rotate_some(joined, [0, q], q_norm)?;
        let keys = self.rotate_some(joined, [q, kv], k_norm)?;
        Some(queries.and_then(|queries| Ok([queries, keys?])))
    }

    /// The same of `count` heads from `first` on.
    fn rotate_some(
        &self,
        joined: &JoinedHeads,
        [first, count]: [i32; 2],
        norm: Option<(Option<&Array>, f32)>,
    ) -> Option<Result<Array>> {
        let JoinedHeads { qkv, dims, offset, .. } = *joined;
        let &[b, length, _] = qkv.shape() else { return None };
        let weight = norm.and_then(|(weight, _)| weight);
        let inputs: Vec<&Array> = [Some(qkv), weight].into_iter().flatten().collect();
        let kernels = kernels().filter(|_| are_usable(&inputs) && self.0.dims() <= dims as usize)?;
        let rotation = Arc::clone(&self.0);
        let eps = norm.map(|(_, eps)| eps);
        let columns = (first * dims) as usize..((first + count) * dims) as usize;
        Some(run_kernel(Layout::Strided, &inputs, &[b, count, length, dims], move |inputs, y| {
            // SAFETY: all are arrays of f32, and a weight has one axis.
            let (x, weight) = unsafe { (tensor(inputs, 0), inputs.get(1).map(|weight| weight.elements())) };
            let x = x.columns(columns.clone()).heads_first(count as usize);
            let norm = eps.map(|eps| RmsNorm { weight, eps });
            kernels.rope(&rotation, x, norm, i64::from(offset), y);
        }))
    }
}

/// An input, which has at most four axes.
///
/// # Safety
/// It is an array of f32.
pub(super) unsafe fn tensor<'a>(inputs: &[Input<'a>], index: usize) -> cpu_kernels::Tensor<'a> {
    // SAFETY: as above.
    let tensor = inputs.get(index).and_then(|input| unsafe { input.tensor(AS_IT_IS) });
    tensor.unwrap_or_else(|| unreachable!("an input with more axes"))
}

#[cfg(test)]
mod tests {
    use mlx_rs::{ops, random};

    use super::*;
    use crate::mlx::{self, Backend};

    fn uniform(seed: u64, shape: &[i32]) -> Array {
        random::uniform::<_, f32>(-1.0, 1.0, shape, &random::key(seed).unwrap()).unwrap()
    }

    fn close(a: &Array, b: &Array) -> bool {
        a.shape() == b.shape() && a.all_close(b, 1e-5, 1e-5, None).unwrap()
    }

    #[test]
    fn attention_is_mlxs_with_every_mask_and_layout() {
        mlx::choose_backend(Some(Backend::Cpu)).unwrap();
        let (length, seen) = (5, 9);
        // As a model makes them: queries by a transpose, keys and values as slices of a cache's buffers.
        let queries = uniform(1, &[2, length, 4, 32]).transpose_axes(&[0, 2, 1, 3]).unwrap();
        let cached = |seed| mlx::slice_axis(&uniform(seed, &[2, 2, 16, 32]), 2, 0, seen).unwrap();
        let (keys, values, sinks) = (cached(2), cached(3), uniform(4, &[4]));
        let boolean = uniform(5, &[length, seen]).gt(Array::from_f32(-0.5)).unwrap();
        let per_batch = uniform(6, &[2, 1, 1, seen]).gt(Array::from_f32(-0.5)).unwrap();
        let added = uniform(7, &[1, 4, length, seen]);
        for sinks in [None, Some(&sinks)] {
            for mask in 0..5 {
                let mask = || match mask {
                    0 => None,
                    1 => Some(ScaledDotProductAttentionMask::Causal),
                    2 => Some(ScaledDotProductAttentionMask::Array(&boolean)),
                    3 => Some(ScaledDotProductAttentionMask::Array(&per_batch)),
                    _ => Some(ScaledDotProductAttentionMask::Array(&added)),
                };
                let own = own_attention(&queries, &keys, &values, 0.3, mask().as_ref(), sinks).unwrap().unwrap();
                let expected =
                    fast::scaled_dot_product_attention(&queries, &keys, &values, 0.3, mask(), sinks).unwrap();
                assert!(close(&own, &expected), "{:?}, sinks {}", mask(), sinks.is_some());
            }
        }
    }

    #[test]
    fn norms_rotations_and_sums_are_mlxs() {
        mlx::choose_backend(Some(Backend::Cpu)).unwrap();
        let x = uniform(1, &[2, 3, 4, 32]).transpose_axes(&[0, 2, 1, 3]).unwrap();
        let weight = uniform(2, &[32]);
        for weight in [None, Some(&weight)] {
            assert!(close(&rms_norm(&x, weight, 1e-5).unwrap(), &fast::rms_norm(&x, weight, 1e-5).unwrap()));
        }
        let lse = logsumexp(&x).unwrap();
        assert!(close(&lse, &x.logsumexp_axis(-1, true).unwrap()));
        for traditional in [false, true] {
            let frequencies = (0..8).map(|pair| 10_000f32.powf(-pair as f32 / 8.0)).collect();
            let own = Rotation::new(frequencies, traditional).rotate(&x, 7).unwrap().unwrap();
            assert!(close(&own, &fast::rope(&x, 16, traditional, 10_000.0, 1.0, 7, None).unwrap()), "{traditional}");
        }
        let silu = ops::sigmoid(&x).unwrap().multiply(&x).unwrap();
        assert!(close(&gated(Activation::Swiglu, &x, &x).unwrap().unwrap(), &silu.multiply(&x).unwrap()));
    }

    #[test]
    fn a_panic_of_a_kernel_is_reported() {
        mlx::choose_backend(Some(Backend::Cpu)).unwrap();
        let x = uniform(1, &[4]);
        let y = run_kernel(Layout::Contiguous, &[&x], &[4], |_, _| panic!("as planned")).unwrap();
        let numbers = y.to_vec_exact::<f32>().unwrap();
        assert!(numbers.iter().all(|number| number.is_nan()));
        assert!(mlx::take_failure().unwrap().contains("as planned"));
        assert!(mlx::take_failure().is_none());
    }
}
