// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The attention of one token for each sequence on NVIDIA GPUs, by our own kernel (decode_attention.cuh).
//! docs/decisions/nvidia.md says why and where.

use mlx_rs::{Array, Dtype};

use super::{
    cuda::{self, CudaKernel, Header, Kernels, Launch},
    kernel::Layout,
};
use crate::error::{Error, Result};

static HEADER: Header = Header::new("decode-attention", include_str!("decode_attention.cuh"));
/// The most keys. Few blocks read a head's, and from some number on MLX's ways, which have more, are faster.
const MAX_KEYS: i32 = 2048;
/// The most dimensions of a head, for which the kernel has registers.
const MAX_DIMS: i32 = 256;
/// Of a block. So few can have all the registers that the compiler may take.
const THREADS: i32 = 256;
/// Keys that a few threads read at a time.
const AT_ONCE: i32 = 6;
/// The most heads that get two blocks each: with more, a GPU has work for all its multiprocessors.
const MAX_HALVED: i32 = 64;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    dtype: &'static str,
    dims: i32,
    value_dims: i32,
    /// Blocks of a head, of which each computes a part of the values.
    parts: i32,
    /// The bits of an f32.
    scale: u32,
    has_sinks: bool,
}

/// `softmax(queries @ keys.T * scale) @ values`; queries: (B, H, 1, D), keys: (B, KV heads, S, D), values:
/// (B, KV heads, S, Dv), sinks: (H,) → (B, H, 1, Dv); `None` where MLX's operation has to do.
pub fn attention(
    queries: &Array,
    keys: &Array,
    values: &Array,
    scale: f32,
    sinks: Option<&Array>,
) -> Option<Result<Array>> {
    if !cuda::fuses() {
        return None;
    }
    let &[batch, heads, 1, dims] = queries.shape() else { return None };
    let (&[_, kv_heads, seen, _], &[.., value_dims]) = (keys.shape(), values.shape()) else { return None };
    let dtype = match queries.dtype() {
        Dtype::Bfloat16 => "__nv_bfloat16",
        Dtype::Float16 => "__half",
        _ => return None,
    };
    let is_served = |dims: i32| (8..=MAX_DIMS).contains(&dims) && dims % 8 == 0;
    let are_usable =
        [Some(keys), Some(values), sinks].into_iter().flatten().all(|array| array.dtype() == queries.dtype())
            && keys.shape() == [batch, kv_heads, seen, dims]
            && values.shape() == [batch, kv_heads, seen, value_dims]
            && sinks.is_none_or(|sinks| sinks.shape() == [heads])
            && is_served(dims)
            && is_served(value_dims)
            && (1..=MAX_KEYS).contains(&seen)
            && batch > 0
            && heads > 0
            && kv_heads > 0
            && heads % kv_heads == 0;
    if !are_usable {
        return None;
    }
    let parts = if batch.saturating_mul(heads) <= MAX_HALVED && value_dims % 16 == 0 { 2 } else { 1 };
    let form = Form { dtype, dims, value_dims, parts, scale: scale.to_bits(), has_sinks: sinks.is_some() };
    let inputs: Vec<&Array> = [queries, keys, values].into_iter().chain(sinks).collect();
    Some(run(form, &inputs, (&[batch, heads, 1, value_dims], queries.dtype())))
}

fn run(form: Form, inputs: &[&Array], y: (&[i32; 4], Dtype)) -> Result<Array> {
    let (shape @ &[batch, heads, ..], dtype) = y;
    let width = heads.checked_mul(THREADS).ok_or_else(|| Error::internal("attention has too many heads"))?;
    let launch = Launch { grid: [width, batch, form.parts], threads: THREADS };
    let [y] = KERNELS.with(|kernels| kernels.apply(form, kernel, inputs, [(shape, dtype)], launch))?;
    Ok(y)
}

thread_local! {
    /// Of the inference thread.
    static KERNELS: Kernels<Form> = Kernels::default();
}

fn kernel(form: Form) -> CudaKernel {
    let Form { dtype, dims, value_dims, parts, scale, has_sinks } = form;
    let (sinks, suffix) = if has_sinks { ("sinks", "_sinks") } else { ("nullptr", "") };
    let name = format!("node_mlx_decode_attention_{dtype}_{dims}_{value_dims}_{parts}_{scale:x}{suffix}");
    // The number of keys is read from their shape: in the text, it would make another kernel for each token.
    let source = format!(
        "node_mlx::decode_attention<{dims}, {value_dims}, {parts}, {THREADS}, {AT_ONCE}, {dtype}>(
            queries, keys, values, {sinks}, y, queries_strides.data(), keys_strides.data(), values_strides.data(),
            keys_shape[1], keys_shape[2], __uint_as_float(0x{scale:x}u));"
    );
    let inputs = [Some("queries"), Some("keys"), Some("values"), has_sinks.then_some("sinks")];
    let inputs: Vec<_> = inputs.into_iter().flatten().collect();
    CudaKernel::new(&name, &inputs, &["y"], &source, &HEADER, Layout::Strided)
}
