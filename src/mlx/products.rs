// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Products with matrices by our own kernels. Each function returns `None` where MLX's operation has to do.

use cpu_kernels::{Encoding, Floats, Format, Groups, Matrix};
use mlx_rs::{Array, Dtype};

use super::{
    QuantizationMode, QuantizedArray,
    cpu::kernels,
    kernel::{Input, Layout, run_kernel},
};
use crate::error::Result;

/// Matrices of (rows, columns) or (matrices, rows, columns), with what the kernels have to know of them.
struct Operand<'a> {
    format: Format,
    shape: [usize; 2],
    /// The weights, and scales and biases if there are any.
    arrays: Vec<&'a Array>,
    /// Bytes of an element of each.
    sizes: Vec<usize>,
}

impl<'a> Operand<'a> {
    fn dense(weight: &'a Array) -> Option<Self> {
        let encoding = match weight.dtype() {
            Dtype::Bfloat16 => Encoding::Bf16,
            Dtype::Float16 => Encoding::F16,
            Dtype::Float32 => Encoding::F32,
            _ => return None,
        };
        let format = Format { encoding, groups: None };
        let &[.., rows, columns] = weight.shape() else { return None };
        Self::new(format, [rows, columns], vec![weight])
    }

    fn quantized(matrix: &'a QuantizedArray) -> Option<Self> {
        let QuantizedArray { weight, scales, biases, quantization } = matrix;
        let encoding = match quantization.mode {
            QuantizationMode::Affine => Encoding::Integer { bits: quantization.bits.cast_unsigned() },
            QuantizationMode::Mxfp4 | QuantizationMode::Nvfp4 => Encoding::E2m1,
            QuantizationMode::Mxfp8 => Encoding::E4m3,
        };
        let stored = match (quantization.mode, scales.dtype()) {
            (QuantizationMode::Mxfp4 | QuantizationMode::Mxfp8, Dtype::Uint8) => Floats::E8m0,
            (QuantizationMode::Nvfp4, Dtype::Uint8) => Floats::E4m3,
            (QuantizationMode::Affine, Dtype::Float32) => Floats::F32,
            (QuantizationMode::Affine, Dtype::Float16) => Floats::F16,
            (QuantizationMode::Affine, Dtype::Bfloat16) => Floats::Bf16,
            _ => return None,
        };
        if biases.as_ref().is_some_and(|biases| biases.dtype() != scales.dtype()) {
            return None;
        }
        let size = usize::try_from(quantization.group_size).ok()?;
        let groups = Groups { size, scales: stored, biased: biases.is_some() };
        let &[.., rows, groups_per_row] = scales.shape() else { return None };
        let columns = groups_per_row.checked_mul(quantization.group_size)?;
        let arrays = [Some(weight), Some(scales), biases.as_ref()].into_iter().flatten().collect();
        Self::new(Format { encoding, groups: Some(groups) }, [rows, columns], arrays)
    }

    fn new(format: Format, [rows, columns]: [i32; 2], arrays: Vec<&'a Array>) -> Option<Self> {
        let shape = [usize::try_from(rows).ok()?, usize::try_from(columns).ok()?];
        let sizes = arrays.iter().map(|array| array.item_size()).collect();
        (Matrix::is_supported(format, shape)).then_some(Self { format, shape, arrays, sizes })
    }

    /// The matrix in the inputs of a kernel from the given one on.
    fn reader(&self, first: usize) -> impl for<'i> Fn(&[Input<'i>]) -> Matrix<'i> + Send + Sync + 'static {
        let Self { format, shape, .. } = *self;
        let sizes = self.sizes.clone();
        move |inputs| {
            let bytes = |index: usize| match (inputs.get(first + index), sizes.get(index)) {
                // SAFETY: the inputs are the arrays, whose elements have these sizes.
                (Some(input), Some(&size)) => unsafe { input.bytes(size) },
                _ => &[],
            };
            Matrix::new(format, shape, bytes(0), bytes(1), bytes(2))
                .unwrap_or_else(|| unreachable!("a matrix whose parts do not have its shape"))
        }
    }
}

/// `x @ matrix.T`; x: (…, columns) → (…, rows)
pub fn quantized_matmul_transposed(x: &Array, matrix: &QuantizedArray) -> Option<Result<Array>> {
    multiply(x, &Operand::quantized(matrix)?)
}

/// `x @ weight.T`; x: (…, columns), weight: (rows, columns) → (…, rows)
pub fn dense_matmul_transposed(x: &Array, weight: &Array) -> Option<Result<Array>> {
    multiply(x, &Operand::dense(weight)?)
}

fn multiply(x: &Array, matrix: &Operand<'_>) -> Option<Result<Array>> {
    let kernels = kernels()?;
    let [rows, columns] = matrix.shape;
    let (&last, batch) = x.shape().split_last()?;
    if x.dtype() != Dtype::Float32 || last as usize != columns || matrix.arrays.iter().any(|array| array.ndim() != 2) {
        return None;
    }
    let shape = [batch, &[i32::try_from(rows).ok()?]].concat();
    let inputs: Vec<&Array> = [x].into_iter().chain(matrix.arrays.iter().copied()).collect();
    let read = matrix.reader(1);
    Some(run_kernel(Layout::Contiguous, &inputs, &shape, move |inputs, y| {
        let Some(x) = inputs.first() else { return };
        // SAFETY: x is an array of f32.
        kernels.matmul(unsafe { x.elements() }, &read(inputs), y);
    }))
}

/// `x[…] @ matrices[indices].T`; x: (…, 1, columns), matrices: (matrices, rows, columns), indices: integers of (…), which
/// are broadcast with x's first axes → (…, 1, rows)
pub fn gather_quantized_matmul_transposed(
    x: &Array,
    matrices: &QuantizedArray,
    indices: &Array,
) -> Option<Result<Array>> {
    gather(x, &Operand::quantized(matrices)?, indices)
}

/// The same of dense matrices.
pub fn gather_dense_matmul_transposed(x: &Array, weights: &Array, indices: &Array) -> Option<Result<Array>> {
    gather(x, &Operand::dense(weights)?, indices)
}

fn gather(x: &Array, matrices: &Operand<'_>, indices: &Array) -> Option<Result<Array>> {
    let kernels = kernels()?;
    let [rows, columns] = matrices.shape;
    let &[ref batch @ .., 1, last] = x.shape() else { return None };
    let is_usable = x.dtype() == Dtype::Float32
        && last as usize == columns
        && matches!(indices.dtype(), Dtype::Uint32 | Dtype::Int32)
        && matrices.arrays.iter().all(|array| array.ndim() == 3);
    if !is_usable {
        return None;
    }
    let pairs = broadcast(batch, indices.shape())?;
    let shape = [pairs.shape.as_slice(), &[1, i32::try_from(rows).ok()?]].concat();
    let inputs: Vec<&Array> = [x, indices].into_iter().chain(matrices.arrays.iter().copied()).collect();
    let read = matrices.reader(2);
    Some(run_kernel(Layout::Contiguous, &inputs, &shape, move |inputs, y| {
        let [x, indices, ..] = inputs else { return };
        // SAFETY: x is an array of f32, and the indices are integers of four bytes, none of them negative.
        let (x, indices): (&[f32], &[u32]) = unsafe { (x.elements(), indices.elements()) };
        let which: Vec<usize> = pairs.second.iter().filter_map(|&at| Some(*indices.get(at)? as usize)).collect();
        kernels.gather_matmul(x, &pairs.first, &which, &read(inputs), y);
    }))
}

/// Two arrays broadcast against each other: the shape, and for each element, row by row, its place in either.
struct Pairs {
    shape: Vec<i32>,
    first: Vec<usize>,
    second: Vec<usize>,
}

fn broadcast(first: &[i32], second: &[i32]) -> Option<Pairs> {
    let axes = first.len().max(second.len());
    let padded = |shape: &[i32]| [vec![1; axes - shape.len()], shape.to_vec()].concat();
    let (first, second) = (padded(first), padded(second));
    let shape: Vec<i32> = first.iter().zip(&second).map(|(&a, &b)| if a == 1 { b } else { a }).collect();
    if second.iter().zip(&shape).any(|(&b, &length)| b != length && b != 1) {
        return None;
    }
    let places = |of: &[i32]| {
        let mut places = vec![0];
        for (&length, &wanted) in of.iter().zip(&shape) {
            let step = if length == 1 { 0 } else { 1 };
            let of_place = |place| (0..wanted as usize).map(move |index| place * length as usize + step * index);
            places = places.into_iter().flat_map(of_place).collect();
        }
        places
    };
    Some(Pairs { first: places(&first), second: places(&second), shape })
}

#[cfg(test)]
mod tests {
    use mlx_rs::random;

    use super::*;
    use crate::mlx::{self, Backend, Quantization};

    fn uniform(seed: u64, shape: &[i32]) -> Array {
        random::uniform::<_, f32>(-1.0, 1.0, shape, &random::key(seed).unwrap()).unwrap()
    }

    #[test]
    fn products_are_mlxs() {
        mlx::choose_backend(Some(Backend::Cpu)).unwrap();
        let x = uniform(1, &[2, 5, 128]);
        for dtype in [Dtype::Float32, Dtype::Bfloat16, Dtype::Float16] {
            let weight = uniform(2, &[24, 128]).as_dtype(dtype).unwrap();
            let dense = weight.as_dtype(Dtype::Float32).unwrap().transpose().unwrap();
            let y = dense_matmul_transposed(&x, &weight).unwrap().unwrap();
            assert!(y.all_close(x.matmul(&dense).unwrap(), 1e-5, 1e-5, None).unwrap(), "{dtype:?}");
            // The same of rows that lie apart.
            let odd = mlx::slice_axis(&uniform(1, &[2, 9, 128]), 1, 2, 7).unwrap();
            let y = dense_matmul_transposed(&odd, &weight).unwrap().unwrap();
            assert!(y.all_close(odd.matmul(&dense).unwrap(), 1e-5, 1e-5, None).unwrap(), "{dtype:?}, a slice");
        }
        for (mode, group_size, bits) in [
            (QuantizationMode::Affine, 32, 3),
            (QuantizationMode::Affine, 64, 4),
            (QuantizationMode::Mxfp4, 32, 4),
            (QuantizationMode::Mxfp8, 32, 8),
            (QuantizationMode::Nvfp4, 16, 4),
        ] {
            let quantization = Quantization { group_size, bits, mode };
            let matrix = QuantizedArray::quantize(&uniform(3, &[24, 128]), quantization).unwrap();
            let expected = matrix.dense_matmul(&x, true).unwrap();
            let y = quantized_matmul_transposed(&x, &matrix).unwrap().unwrap();
            assert!(y.all_close(&expected, 1e-4, 1e-4, None).unwrap(), "{quantization:?}");
        }
    }

    #[test]
    fn gathered_products_are_mlxs() {
        mlx::choose_backend(Some(Backend::Cpu)).unwrap();
        let weights = uniform(4, &[5, 24, 128]);
        let transposed = weights.swap_axes(-1, -2).unwrap();
        let indices = Array::from_slice(&[0u32, 4, 2, 2, 1, 3], &[3, 2]);
        // One row of x for both indices of a token, and one for each.
        for shape in [[3, 1, 1, 128], [3, 2, 1, 128]] {
            let x = uniform(5, &shape);
            let y = gather_dense_matmul_transposed(&x, &weights, &indices).unwrap().unwrap();
            let expected = mlx::gather_matmul(&x, &transposed, &indices, false).unwrap();
            assert_eq!(y.shape(), expected.shape());
            assert!(y.all_close(&expected, 1e-5, 1e-5, None).unwrap(), "{shape:?}");
        }
    }

    #[test]
    fn broadcast_pairs_are_numpys() {
        let pairs = broadcast(&[2, 1], &[3]).unwrap();
        assert_eq!(pairs.shape, [2, 3]);
        assert_eq!(pairs.first, [0, 0, 0, 1, 1, 1]);
        assert_eq!(pairs.second, [0, 1, 2, 0, 1, 2]);
        let pairs = broadcast(&[2, 2], &[2, 2]).unwrap();
        assert_eq!((pairs.first, pairs.second), (vec![0, 1, 2, 3], vec![0, 1, 2, 3]));
        assert!(broadcast(&[2], &[3]).is_none());
    }
}
