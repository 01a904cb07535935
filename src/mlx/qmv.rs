// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Products of a few rows on NVIDIA GPUs, by our own kernel (qmv.cuh), which can do what precedes and follows a product as well.
//! Each function returns `None` where MLX's operations have to do. docs/decisions/nvidia.md says why and where.

use mlx_rs::{Array, Dtype};

use super::{
    QuantizationMode, QuantizedArray,
    cuda::{self, CudaKernel, Header, Kernels, Launch},
    kernel::Layout,
};
use crate::error::{Error, Result};

static HEADER: Header = Header::new("qmv", concat!(include_str!("weights.cuh"), include_str!("qmv.cuh")));
/// The most rows of x.
const MAX_ROWS: i32 = 8;
/// The most pairs of a row and an expert; with more, experts are shared, and read once for each pair.
const MAX_PAIRS: i32 = 64;
/// The fewest weights of a product with nothing before and after. A smaller one takes the GPU less time than what MLX spends
/// on the host to run a kernel that it does not know.
const MIN_WEIGHTS: i64 = 1 << 23;
/// Rows of w for each tile of a block.
const TILE: i32 = 16;
/// Warps of a block for one row of x and a matrix that is not quantized, of which each takes a row of w.
const GEMV_WARPS: i32 = 8;

/// What the kernel of a product does besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fused<'a> {
    /// The weight, (k), and the epsilon of an RMS norm of x.
    pub norm: Option<(&'a Array, f32)>,
    pub after: After<'a>,
}

/// What becomes of a product.
#[derive(Debug, Clone, Copy, Default)]
pub enum After<'a> {
    #[default]
    Nothing,
    /// An array of its shape is added.
    Add(&'a Array),
    /// `silu` of its first half times the second.
    Swiglu,
}

impl After<'_> {
    /// The kernel's name for it.
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "PLAIN",
            Self::Add(_) => "ADDED",
            Self::Swiglu => "SWIGLU",
        }
    }
}

/// The functions of qmv.cuh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Function {
    /// For so many rows at most.
    Rows(i32),
    /// For one row, if the matrix is not quantized.
    DenseGemv,
    Gather,
}

/// The arguments of the kernel's templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    x: &'static str,
    mode: &'static str,
    bits: i32,
    group_size: i32,
    function: Function,
    tiles: i32,
    warps: i32,
    /// The bits of the norm's epsilon.
    eps: Option<u32>,
    after: &'static str,
}

/// What a product needs to know of a matrix.
struct Operand<'a> {
    /// The inputs before x.
    arrays: Vec<&'a Array>,
    mode: &'static str,
    bits: i32,
    group_size: i32,
}

impl<'a> Operand<'a> {
    fn dense(x: &Array, weight: &'a Array) -> Option<Self> {
        let is_served =
            weight.dtype() == x.dtype() && x.shape().last() == weight.shape().last() && is_row_by_row(weight);
        is_served.then(|| Self { arrays: vec![weight], mode: "DENSE", bits: 16, group_size: 128 })
    }

    fn quantized(x: &Array, matrix: &'a QuantizedArray) -> Option<Self> {
        let QuantizedArray { weight, scales, biases, quantization } = matrix;
        let (mode, stored) = match quantization.mode {
            QuantizationMode::Affine => ("AFFINE", x.dtype()),
            QuantizationMode::Mxfp4 => ("MXFP4", Dtype::Uint8),
            QuantizationMode::Nvfp4 => ("NVFP4", Dtype::Uint8),
            QuantizationMode::Mxfp8 => return None,
        };
        let (&k, &groups) = (x.shape().last()?, scales.shape().last()?);
        let is_served = scales.dtype() == stored
            && biases.as_ref().is_none_or(|biases| biases.dtype() == stored)
            && biases.is_some() == (quantization.mode == QuantizationMode::Affine)
            && groups.checked_mul(quantization.group_size) == Some(k);
        let arrays = [Some(weight), Some(scales), biases.as_ref()].into_iter().flatten().collect();
        let (bits, group_size) = (quantization.bits, quantization.group_size);
        is_served.then_some(Self { arrays, mode, bits, group_size })
    }

    /// Whether the kernel is better than MLX's for a product with nothing before and after; n, k: of the matrix, `pairs`: those
    /// of rows and experts, if it gathers.
    fn is_worth_it(&self, n: i32, k: i32, pairs: Option<i32>) -> bool {
        let weights = i64::from(n) * i64::from(k) * i64::from(pairs.unwrap_or(1));
        let is_large = weights >= MIN_WEIGHTS;
        match self.mode {
            "DENSE" => pairs.is_some() && is_large,
            // For rows of one group, MLX's kernel is wrong (`QuantizedArray::lacks_kernel`).
            _ => is_large || k == self.group_size,
        }
    }

    /// Runs the kernel for one matrix, or for experts. x: (…, k) → (…, n); `choice`: the indices of the experts
    fn multiply(&self, x: &Array, fused: Fused, choice: Option<&Array>) -> Option<Result<Array>> {
        let name = match x.dtype() {
            Dtype::Bfloat16 => "__nv_bfloat16",
            Dtype::Float16 => "__half",
            _ => return None,
        };
        let (&k, batch) = x.shape().split_last()?;
        let &rows_of_w = self.arrays.first()?.shape().iter().rev().nth(1)?;
        let rows: i32 = batch.iter().try_fold(1i32, |rows, &length| rows.checked_mul(length))?;
        let pairs = choice.map(|indices| i32::try_from(indices.size()).unwrap_or(i32::MAX));
        let is_gated = matches!(fused.after, After::Swiglu);
        let n = if is_gated { rows_of_w / 2 } else { rows_of_w };
        let is_fused = fused.norm.is_some() || !matches!(fused.after, After::Nothing);
        let shape = match choice {
            Some(indices) => [indices.shape(), &[1, n]].concat(),
            None => [batch, &[n]].concat(),
        };
        let is_served = k > 0
            && k % 32 == 0
            && n > 0
            && (!is_gated || rows_of_w % 2 == 0)
            && (choice.is_some() || (1..=MAX_ROWS).contains(&rows))
            && (if is_fused { cuda::fuses() } else { self.is_worth_it(n, k, pairs) })
            // f16 might not hold what the norm would still divide.
            && fused.norm.is_none_or(|(weight, _)| {
                x.dtype() == Dtype::Bfloat16 && weight.dtype() == x.dtype() && weight.shape() == [k]
            })
            && !matches!(fused.after, After::Add(to) if to.dtype() != x.dtype() || to.shape() != shape);
        if !is_served {
            return None;
        }
        // Each warp normalizes the row again: too much for one product, not for two (docs/decisions/nvidia.md).
        let is_gemv_faster = fused.norm.is_none() || is_gated;
        let function = match (choice, rows) {
            (Some(_), _) => Function::Gather,
            (None, 1) if self.mode == "DENSE" && is_gemv_faster => Function::DenseGemv,
            (None, rows) => Function::Rows(rows.cast_unsigned().next_power_of_two().cast_signed()),
        };
        let is_gemv = function == Function::DenseGemv;
        let (tiles, warps) = if is_gemv { (1, GEMV_WARPS) } else { layout(rows_of_w, is_gated) };
        let form = Form {
            x: name,
            mode: self.mode,
            bits: self.bits,
            group_size: self.group_size,
            function,
            tiles,
            warps,
            eps: fused.norm.map(|(_, eps)| eps.to_bits()),
            after: fused.after.name(),
        };
        let addend = if let After::Add(to) = fused.after { Some(to) } else { None };
        let others = [Some(x), choice, fused.norm.map(|(weight, _)| weight), addend];
        let inputs: Vec<&Array> = self.arrays.iter().copied().chain(others.into_iter().flatten()).collect();
        let (rows, of_a_block) = if is_gemv { (n, warps) } else { (rows_of_w, TILE * tiles) };
        let blocks = rows.checked_add(of_a_block - 1).map_or(i32::MAX, |rows| rows / of_a_block);
        let threads = 32 * warps;
        let Some(width) = blocks.checked_mul(threads) else {
            return Some(Err(Error::internal("a matrix has too many rows")));
        };
        let launch = Launch { grid: [width, pairs.unwrap_or(1), 1], threads };
        let y = KERNELS.with(|kernels| kernels.apply(form, Form::kernel, &inputs, [(&shape, x.dtype())], launch));
        Some(y.map(|[y]| y))
    }
}

/// `x @ matrix.T`; x: (…, k), at most [`MAX_ROWS`] rows → (…, n), or half of that with [`After::Swiglu`]
pub fn quantized_product(x: &Array, matrix: &QuantizedArray, fused: Fused) -> Option<Result<Array>> {
    let is_usable = cuda::is_usable() && matrix.weight.ndim() == 2;
    is_usable.then(|| Operand::quantized(x, matrix))??.multiply(x, fused, None)
}

/// The same of a dense matrix, only where kernels fuse.
pub fn dense_product(x: &Array, weight: &Array, fused: Fused) -> Option<Result<Array>> {
    let is_usable = cuda::fuses() && weight.ndim() == 2;
    is_usable.then(|| Operand::dense(x, weight))??.multiply(x, fused, None)
}

/// `x[…] @ matrices[indices].T`; x: (…, 1, k) with the axes of `indices` before, of which the last may be 1 → (…, 1, n)
pub fn quantized_gather_product(
    x: &Array,
    matrices: &QuantizedArray,
    indices: &Array,
    after: After,
) -> Option<Result<Array>> {
    let is_usable = is_gatherable(x, &matrices.weight, indices);
    is_usable.then(|| Operand::quantized(x, matrices))??.multiply(x, Fused { norm: None, after }, Some(indices))
}

/// The same of dense matrices, only where kernels fuse.
pub fn dense_gather_product(x: &Array, weights: &Array, indices: &Array, after: After) -> Option<Result<Array>> {
    let is_usable = cuda::fuses() && is_gatherable(x, weights, indices);
    is_usable.then(|| Operand::dense(x, weights))??.multiply(x, Fused { norm: None, after }, Some(indices))
}

fn is_gatherable(x: &Array, weights: &Array, indices: &Array) -> bool {
    let (&[ref batch @ .., 1, _], &[ref others @ .., chosen]) = (x.shape(), indices.shape()) else { return false };
    let is_broadcast = matches!(*batch, [ref own @ .., last] if (last == chosen || last == 1) && own == others);
    let pairs = i32::try_from(indices.size()).unwrap_or(i32::MAX);
    cuda::is_usable()
        && weights.ndim() == 3
        && indices.dtype() == Dtype::Uint32
        && is_broadcast
        && (1..MAX_PAIRS).contains(&pairs)
}

/// Whether elements lie row by row. MLX copies others whenever a kernel runs, such as experts of a checkpoint that has them
/// transposed.
fn is_row_by_row(array: &Array) -> bool {
    let strides = array.shape().iter().rev().scan(1usize, |next, &length| {
        let stride = *next;
        *next *= length as usize;
        Some(stride)
    });
    array.strides().iter().rev().copied().eq(strides)
}

/// Tiles and warps of a block for w of (n, k), as measured on an H200 (docs/decisions/nvidia.md).
fn layout(n: i32, is_gated: bool) -> (i32, i32) {
    match n {
        _ if is_gated => (2, 4),
        16_384.. => (2, 4),
        4097.. => (1, 4),
        _ => (1, 8),
    }
}

thread_local! {
    /// Of the inference thread.
    static KERNELS: Kernels<Form> = Kernels::default();
}

impl Form {
    fn kernel(self) -> CudaKernel {
        let Self { x, mode, bits, group_size, function, tiles, warps, eps, after } = self;
        let is_gathered = function == Function::Gather;
        let has = |wanted: bool, name: &'static str| if wanted { name } else { "nullptr" };
        let (has_scales, has_biases, is_added) = (mode != "DENSE", mode == "AFFINE", after == "ADDED");
        let inputs = [
            Some("w"),
            has_scales.then_some("scales"),
            has_biases.then_some("biases"),
            Some("x"),
            is_gathered.then_some("indices"),
            eps.map(|_| "gains"),
            is_added.then_some("addend"),
        ];
        let matrix = format!(
            "reinterpret_cast<const uint32_t*>(w), {}, {}, x",
            has(has_scales, "scales"),
            has(has_biases, "biases")
        );
        let n = format!("w_shape[{}]{}", i32::from(is_gathered), if after == "SWIGLU" { " / 2" } else { "" });
        let fused = format!(
            "{}, {:?}f, {}",
            has(eps.is_some(), "gains"),
            eps.map_or(0.0, f32::from_bits),
            has(is_added, "addend")
        );
        let (function, form, arguments) = match function {
            Function::Rows(rows) => (
                "qmv",
                format!("{mode}, {bits}, {group_size}, {rows}, {tiles}, {warps}, {}, {after}", eps.is_some()),
                format!("{matrix}, y, {n}, k, rows, {fused}"),
            ),
            Function::DenseGemv => {
                ("dense_gemv", format!("{warps}, {}, {after}", eps.is_some()), format!("w, x, y, {n}, k, {fused}"))
            }
            Function::Gather => (
                "gather_qmv",
                format!("{mode}, {bits}, {group_size}, {tiles}, {warps}, {after}"),
                format!("{matrix}, indices, y, {n}, k, rows"),
            ),
        };
        let suffix = form.replace(", ", "_");
        let name = format!("node_mlx_{function}_{x}_{suffix}_{:x}", eps.unwrap_or_default());
        let source = format!(
            "using namespace node_mlx;
            const int k = x_shape[x_ndim - 1];
            int rows = 1;
            for (int i = 0; i + 1 < x_ndim; ++i) rows *= x_shape[i];
            {function}<{x}, {form}>({arguments});"
        );
        let inputs: Vec<_> = inputs.into_iter().flatten().collect();
        CudaKernel::new(&name, &inputs, &["y"], &source, &HEADER, Layout::Contiguous)
    }
}

#[cfg(test)]
mod tests {
    use mlx_rs::ops;

    use super::*;
    use crate::mlx;

    #[test]
    fn matrices_that_mlx_would_copy_are_left_to_it() {
        mlx::choose_backend(None).unwrap();
        let zeros = |shape: &[i32]| ops::zeros::<f32>(shape).unwrap();
        let x = zeros(&[1, 32]);
        let (stored, transposed) = (zeros(&[2, 8, 32]), zeros(&[2, 32, 8]).swap_axes(1, 2).unwrap());
        let part = mlx::slice_axis(&zeros(&[2, 16, 32]), 1, 8, 16).unwrap();
        for (weight, is_served) in [(&stored, true), (&transposed, false), (&part, false)] {
            weight.eval().unwrap();
            assert_eq!(weight.shape(), [2, 8, 32]);
            assert_eq!(Operand::dense(&x, weight).is_some(), is_served);
        }
    }
}
