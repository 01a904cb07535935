// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Queries and keys of a few rows, normalized and rotated in one launch on NVIDIA GPUs, by our own kernel (heads.cuh).

use std::cell::RefCell;

use mlx_rs::{Array, Dtype};

use super::{
    cuda::{self, CudaKernel, Header, Kernels, Launch},
    kernel::Layout,
};
use crate::error::Result;

static HEADER: Header = Header::new("heads", include_str!("heads.cuh"));
/// The most rows. With more, MLX's operations take the GPU longer than the host.
const MAX_ROWS: i64 = 8;
const WARP: i32 = 32;
const MAX_WARPS: i32 = 8;

/// Queries, keys and values side by side, and what is to be done to the first two.
#[derive(Debug, Clone, Copy)]
pub struct JoinedHeads<'a> {
    /// (B, L, (H + 2 * KV heads) * D)
    pub qkv: &'a Array,
    /// The numbers of heads of queries, and of keys.
    pub heads: [i32; 2],
    /// The features of a head.
    pub dims: i32,
    /// The weights and epsilons of RMS norms.
    pub norms: Option<[(Option<&'a Array>, f32); 2]>,
    /// The position of the first row.
    pub offset: i32,
}

/// The rotation of the first `dims` features of each head.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    pub dims: i32,
    /// Whether a pair is two neighbours, instead of one feature of the first and one of the second half.
    pub traditional: bool,
    pub periods: Periods<'a>,
    /// What these features are multiplied by before.
    pub magnitude: f32,
}

/// By how many positions a pair of features turns by one radian.
#[derive(Debug, Clone, Copy)]
pub enum Periods<'a> {
    /// Powers of `base`, where a position counts `scale`.
    Powers { base: f32, scale: f32 },
    /// Those of each pair, in f32.
    Given(&'a Array),
}

/// What the kernel's text depends on; floats as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    x: &'static str,
    heads: [i32; 2],
    dims: i32,
    turned: i32,
    traditional: bool,
    /// Whether there are weights, and the epsilons.
    norms: Option<[(bool, u32); 2]>,
    /// The base's logarithm and the scale; `None` for given periods.
    powers: Option<[u32; 2]>,
    magnitude: u32,
}

impl JoinedHeads<'_> {
    /// Queries (B, H, L, D) and keys (B, KV heads, L, D), normalized and then rotated; `None` where MLX has to do.
    pub fn rotate(&self, turn: &Turn) -> Option<Result<[Array; 2]>> {
        if !cuda::fuses() {
            return None;
        }
        let Self { qkv, heads: [q, kv], dims, norms, offset } = *self;
        let (&[batch, length, width], dtype) = (qkv.shape(), qkv.dtype()) else { return None };
        let x = match dtype {
            Dtype::Bfloat16 => "__nv_bfloat16",
            Dtype::Float16 => "__half",
            Dtype::Float32 => "float",
            _ => return None,
        };
        let weights = norms.into_iter().flatten().filter_map(|(weight, _)| weight);
        let is_served = (1..=MAX_ROWS).contains(&(i64::from(batch) * i64::from(length)))
            && q.min(kv) > 0
            && i64::from(width) == (i64::from(q) + 2 * i64::from(kv)) * i64::from(dims)
            && turn.dims % 2 == 0
            && (2..=dims).contains(&turn.dims)
            && weights.clone().all(|weight| weight.dtype() == dtype && weight.shape() == [dims]);
        if !is_served {
            return None;
        }
        let form = Form {
            x,
            heads: [q, kv],
            dims,
            turned: turn.dims,
            traditional: turn.traditional,
            norms: norms.map(|norms| norms.map(|(weight, eps)| (weight.is_some(), eps.to_bits()))),
            powers: match turn.periods {
                Periods::Powers { base, scale } => Some([base.log2(), scale].map(f32::to_bits)),
                Periods::Given(_) => None,
            },
            magnitude: turn.magnitude.to_bits(),
        };
        let periods = match turn.periods {
            Periods::Powers { .. } => None,
            Periods::Given(periods) => Some(periods),
        };
        let offset = offset_array(offset);
        let inputs: Vec<&Array> = [qkv, &offset].into_iter().chain(weights).chain(periods).collect();
        let shapes = [q, kv].map(|heads| [batch, heads, length, dims]);
        let outputs = shapes.each_ref().map(|shape| (shape.as_slice(), dtype));
        let threads = WARP * ((turn.dims / 2 + WARP - 1) / WARP).min(MAX_WARPS);
        let launch = Launch { grid: [(q + kv) * threads, batch * length, 1], threads };
        Some(KERNELS.with(|kernels| kernels.apply(form, kernel, &inputs, outputs, launch)))
    }
}

thread_local! {
    /// Of the inference thread.
    static KERNELS: Kernels<Form> = Kernels::default();
    /// The last offset, as it is the same in all layers.
    static OFFSET: RefCell<Option<(i32, Array)>> = const { RefCell::new(None) };
}

/// An array, because a number in the kernel's text would have it compiled for each position.
fn offset_array(offset: i32) -> Array {
    OFFSET.with_borrow_mut(|last| match last {
        Some((known, array)) if *known == offset => array.clone(),
        _ => last.insert((offset, Array::from_slice(&[offset], &[1]))).1.clone(),
    })
}

fn kernel(form: Form) -> CudaKernel {
    let Form { x, heads: [q, kv], dims, turned, traditional, norms, powers, magnitude } = form;
    let float = |bits: u32| format!("__uint_as_float({bits:#x})");
    // The name of the weight, if there is one, and the epsilon.
    let [q_norm, k_norm] = norms.map_or([None; 2], |[(has_q, q_eps), (has_k, k_eps)]| {
        [Some((has_q.then_some("q_weight"), q_eps)), Some((has_k.then_some("k_weight"), k_eps))]
    });
    let norm = |norm: Option<(Option<&str>, u32)>| match norm {
        None => "{false, nullptr, 0}".to_owned(),
        Some((weight, eps)) => format!("{{true, {}, {}}}", weight.unwrap_or("nullptr"), float(eps)),
    };
    let (periods, [base, scale]) = match powers {
        Some(powers) => ("nullptr", powers),
        None => ("periods", [0f32, 1.0].map(f32::to_bits)),
    };
    let turn = format!("{{{periods}, {}, {}, {}}}", float(base), float(scale), float(magnitude));
    let source = format!(
        "node_mlx::rotate_heads<{x}, {traditional}>(
            qkv, {}, {}, {turn}, offset[0], qkv_shape[1], {q}, {kv}, {dims}, {turned}, queries, keys);",
        norm(q_norm),
        norm(k_norm)
    );
    let weights = [q_norm, k_norm].into_iter().flatten().filter_map(|(weight, _)| weight);
    let inputs: Vec<&str> =
        ["qkv", "offset"].into_iter().chain(weights).chain(powers.is_none().then_some("periods")).collect();
    CudaKernel::new(
        &format!("node_mlx_heads_{x}_{dims}"),
        &inputs,
        &["queries", "keys"],
        &source,
        &HEADER,
        Layout::Contiguous,
    )
}
