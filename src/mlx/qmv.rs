// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Products of a few rows with quantized matrices on NVIDIA GPUs, by our own kernel (qmv.cuh). Each function returns `None`
//! where MLX's operation has to do. docs/decisions/nvidia.md says why and where.

use std::{cell::RefCell, collections::HashMap};

use mlx_rs::{Array, Dtype};

use super::{
    QuantizationMode, QuantizedArray,
    cuda::{self, CudaKernel, Header},
};
use crate::error::{Error, Result};

static HEADER: Header = Header::new("qmv", include_str!("qmv.cuh"));
/// The most rows of x.
const MAX_ROWS: i32 = 8;
/// The most pairs of a row and an expert; with more, experts are shared, and read once for each pair.
const MAX_PAIRS: i32 = 64;
/// The fewest weights of a product. A smaller one takes the GPU less time than what MLX spends on the host to run a kernel
/// that it does not know.
const MIN_WEIGHTS: i64 = 1 << 23;
/// What the kernel's grid is a multiple of: columns of y for each tile of a block.
const TILE: i32 = 16;

/// The arguments of the kernel's templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    x: &'static str,
    mode: &'static str,
    bits: i32,
    group_size: i32,
    /// The most rows; `None` for the form that gathers.
    rows: Option<i32>,
    tiles: i32,
    warps: i32,
}

/// What a product needs to know of a matrix.
struct Operand<'a> {
    arrays: Vec<&'a Array>,
    x: Dtype,
    n: i32,
    form: Form,
}

impl<'a> Operand<'a> {
    fn new(x: &Array, matrix: &'a QuantizedArray, rows: Option<i32>, pairs: i32) -> Option<Self> {
        let QuantizedArray { weight, scales, biases, quantization } = matrix;
        let name = match x.dtype() {
            Dtype::Bfloat16 => "__nv_bfloat16",
            Dtype::Float16 => "__half",
            _ => return None,
        };
        let (mode, stored) = match quantization.mode {
            QuantizationMode::Affine => ("AFFINE", x.dtype()),
            QuantizationMode::Mxfp4 => ("MXFP4", Dtype::Uint8),
            QuantizationMode::Nvfp4 => ("NVFP4", Dtype::Uint8),
            QuantizationMode::Mxfp8 => return None,
        };
        let (&k, &[.., n, groups]) = (x.shape().last()?, scales.shape()) else { return None };
        let is_served = scales.dtype() == stored
            && biases.as_ref().is_none_or(|biases| biases.dtype() == stored)
            && biases.is_some() == (quantization.mode == QuantizationMode::Affine)
            && k % 32 == 0
            && groups.checked_mul(quantization.group_size) == Some(k)
            && n > 0
            // For rows of one group, MLX's kernel is wrong (`QuantizedArray::lacks_kernel`).
            && (groups == 1 || i64::from(n) * i64::from(k) * i64::from(pairs) >= MIN_WEIGHTS);
        if !is_served {
            return None;
        }
        let (tiles, warps) = layout(n, k, rows.unwrap_or(1));
        let (bits, group_size) = (quantization.bits, quantization.group_size);
        let form = Form { x: name, mode, bits, group_size, rows, tiles, warps };
        let arrays = [Some(weight), Some(scales), biases.as_ref()].into_iter().flatten().collect();
        Some(Self { arrays, x: x.dtype(), n, form })
    }

    /// Runs the kernel for `pairs` rows of experts, or for one matrix.
    fn run(&self, last: &[&Array], shape: &[i32], pairs: i32) -> Result<Array> {
        let (tile, threads) = (TILE * self.form.tiles, 32 * self.form.warps);
        let blocks = self.n.checked_add(tile - 1).map_or(i32::MAX, |n| n / tile);
        let grid = blocks.checked_mul(threads).ok_or_else(|| Error::internal("a matrix has too many rows"))?;
        KERNELS.with_borrow_mut(|kernels| {
            let kernel = kernels.entry(self.form).or_insert_with(|| kernel(self.form, self.arrays.len() == 3));
            let inputs = [self.arrays.as_slice(), last].concat();
            let [y] = kernel.apply(&inputs, [(shape, self.x)], [grid, pairs, 1], threads)?;
            Ok(y)
        })
    }
}

/// `x @ matrix.T`; x: (…, k), at most [`MAX_ROWS`] rows → (…, n)
pub fn matmul_transposed(x: &Array, matrix: &QuantizedArray) -> Option<Result<Array>> {
    if !cuda::is_usable() || matrix.weight.ndim() != 2 {
        return None;
    }
    let (&k, batch) = x.shape().split_last()?;
    let rows: i32 = batch.iter().try_fold(1i32, |rows, &length| rows.checked_mul(length))?;
    if !(1..=MAX_ROWS).contains(&rows) || k == 0 {
        return None;
    }
    let operand = Operand::new(x, matrix, Some(rows.cast_unsigned().next_power_of_two().cast_signed()), 1)?;
    Some(operand.run(&[x], &[batch, &[operand.n]].concat(), 1))
}

/// `x[…] @ matrices[indices].T`; x: (…, 1, k) with the axes of `indices` before, of which the last may be 1 → (…, 1, n)
pub fn gather_matmul_transposed(x: &Array, matrices: &QuantizedArray, indices: &Array) -> Option<Result<Array>> {
    if !cuda::is_usable() || matrices.weight.ndim() != 3 || indices.dtype() != Dtype::Uint32 {
        return None;
    }
    let &[ref batch @ .., 1, k] = x.shape() else { return None };
    let (own, wanted) = (batch.split_last()?, indices.shape().split_last()?);
    let is_broadcast = own.1 == wanted.1 && (own.0 == wanted.0 || *own.0 == 1);
    let pairs = i32::try_from(indices.size()).ok()?;
    if !is_broadcast || !(1..MAX_PAIRS).contains(&pairs) || k == 0 {
        return None;
    }
    let operand = Operand::new(x, matrices, None, pairs)?;
    Some(operand.run(&[x, indices], &[indices.shape(), &[1, operand.n]].concat(), pairs))
}

/// Tiles and warps of a block, as measured on an H100 (docs/decisions/nvidia.md). Sixteen warps leave each thread half of the
/// registers that the compiler may take, which only a kernel for few rows does with.
fn layout(n: i32, k: i32, rows: i32) -> (i32, i32) {
    match (n, k) {
        (16_384.., _) => (2, 4),
        (..=4096, 2048..) if rows <= 2 => (1, 16),
        _ => (1, 8),
    }
}

thread_local! {
    /// Of the inference thread.
    static KERNELS: RefCell<HashMap<Form, CudaKernel>> = RefCell::default();
}

fn kernel(form: Form, has_biases: bool) -> CudaKernel {
    let Form { x, mode, bits, group_size, rows, tiles, warps } = form;
    let biases = if has_biases { "biases" } else { "nullptr" };
    let (function, most_rows, indices, n) = match rows {
        Some(rows) => ("qmv", format!("{rows}, "), "", 0),
        None => ("gather_qmv", String::new(), "indices, ", 1),
    };
    let form = format!("{mode}, {bits}, {group_size}, {most_rows}{tiles}, {warps}");
    let name = format!("node_mlx_{function}_{x}_{}", form.replace(", ", "_"));
    let source = format!(
        "int rows = 1;
        for (int i = 0; i + 1 < x_ndim; ++i) rows *= x_shape[i];
        node_mlx::{function}<{x}, node_mlx::{form}>(
            w, scales, {biases}, x, {indices}y, scales_shape[{n}], scales_shape[{n} + 1] * {group_size}, rows);"
    );
    let inputs =
        [Some("w"), Some("scales"), has_biases.then_some("biases"), Some("x"), rows.is_none().then_some("indices")];
    CudaKernel::new(&name, &inputs.into_iter().flatten().collect::<Vec<_>>(), &["y"], &source, &HEADER)
}
