// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Matrices that are dense or quantized, and the linear layers over them.

use mlx_rs::{
    Array, Dtype,
    ops::{addmm, concatenate},
};

use super::{Activation, Adapter, Rows};
use crate::{
    error::{Error, Result},
    mlx::{self, After, Backend, Fused, Quantization, QuantizedArray},
};

/// Number of rows from which a quantized matrix is dequantized and multiplied as a dense one, instead of by MLX's
/// kernel.
///
/// Measured by `__test__/bench/rows.rs`: on a CPU both are equally fast at about ten rows; on NVIDIA GPUs the kernel is
/// faster up to 16 rows, and much slower at 2048. Unmeasured between 16 and 2048 rows, and on Metal, where the kernel
/// is kept as in mlx-lm.
fn dequantize_from_rows() -> usize {
    match mlx::backend() {
        Backend::Cpu => 8,
        Backend::Gpu if mlx::is_cuda() => 64,
        Backend::Gpu => usize::MAX,
    }
}

/// Matrices of shape (…, rows, columns), as a checkpoint stores them.
#[derive(Debug, Clone)]
pub enum Matrix {
    Dense(Array),
    Quantized(QuantizedArray),
}

impl Matrix {
    /// `x @ self.T`; x: (…, columns) → (…, rows)
    pub fn matmul_transposed(&self, x: &Array) -> Result<Array> {
        let own = match self {
            Self::Dense(weight) => mlx::dense_matmul_transposed(x, weight),
            Self::Quantized(weight) => mlx::quantized_matmul_transposed(x, weight),
        };
        if let Some(y) = own {
            return y;
        }
        match self {
            Self::Dense(weight) => Ok(x.matmul(weight.swap_axes(-1, -2)?)?),
            Self::Quantized(weight) if rows_per_matrix(x, &weight.weight) >= dequantize_from_rows() => {
                weight.dense_matmul(x, true)
            }
            Self::Quantized(weight) => weight.matmul(x, true),
        }
    }

    /// The product with normalized rows and what follows it, in one kernel; `None` where that takes several.
    fn fused_product(&self, rows: &Rows, after: After) -> Option<Result<Array>> {
        let fused = Fused { norm: rows.before()?, after };
        match self {
            Self::Dense(weight) => mlx::dense_product(rows.x, weight, fused),
            Self::Quantized(weight) => mlx::quantized_product(rows.x, weight, fused),
        }
    }

    /// `x @ self`; x: (…, rows) → (…, columns)
    pub fn matmul(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Dense(weight) => Ok(x.matmul(weight)?),
            Self::Quantized(weight) => weight.matmul(x, false),
        }
    }

    /// `x[…] @ self[indices].T` for matrices of (E, rows, columns); x: (…, 1, columns) → (…, 1, rows). `sorted`: equal
    /// indices are adjacent.
    pub fn gather_matmul_transposed(&self, x: &Array, indices: &Array, sorted: bool) -> Result<Array> {
        if let Some(y) = self.fused_gather_product(x, indices, After::Nothing) {
            return y;
        }
        let own = match self {
            Self::Dense(weight) => mlx::gather_dense_matmul_transposed(x, weight, indices),
            Self::Quantized(weight) => mlx::gather_quantized_matmul_transposed(x, weight, indices),
        };
        if let Some(y) = own {
            return y;
        }
        match self {
            Self::Dense(weight) => mlx::gather_matmul(x, &weight.swap_axes(-1, -2)?, indices, sorted),
            Self::Quantized(weight) => weight.gather_matmul_transposed(x, indices, sorted),
        }
    }

    /// The same with what follows it, in one kernel; `None` where that takes several.
    fn fused_gather_product(&self, x: &Array, indices: &Array, after: After) -> Option<Result<Array>> {
        match self {
            Self::Dense(weight) => mlx::dense_gather_product(x, weight, indices, after),
            Self::Quantized(weight) => mlx::quantized_gather_product(x, weight, indices, after),
        }
    }

    /// The rows with the given indices; indices: (…) → (…, columns)
    pub fn take_rows(&self, indices: &Array) -> Result<Array> {
        match self {
            Self::Dense(weight) => in_computed_dtype(weight.take_axis(indices, 0)?),
            Self::Quantized(weight) => weight.map(|part| Ok(part.take_axis(indices, 0)?))?.dequantize(computed_dtype()),
        }
    }

    /// Returns the number of rows: the length of the second-to-last axis.
    pub fn rows(&self) -> i32 {
        let (Self::Dense(array) | Self::Quantized(QuantizedArray { weight: array, .. })) = self;
        array.shape().iter().rev().nth(1).copied().unwrap_or(0)
    }

    /// Returns the matrices as dense arrays.
    pub fn dense_or_dequantized(&self) -> Result<Array> {
        match self {
            Self::Dense(weight) => in_computed_dtype(weight.clone()),
            Self::Quantized(weight) => weight.dequantize(computed_dtype()),
        }
    }

    /// The arrays that these matrices consist of.
    pub fn arrays(&self) -> Vec<Array> {
        match self {
            Self::Dense(weight) => vec![weight.clone()],
            Self::Quantized(weight) => weight.arrays().cloned().collect(),
        }
    }

    /// Stacks matrices vertically, or returns `None` if they are not stored alike.
    pub fn stack(parts: &[&Self], join: &impl Join) -> Result<Option<Self>> {
        let rows = |name, arrays: &[&Array]| are_alike(arrays).then(|| join(name, arrays, -2)).transpose();
        let dense: Vec<&Array> = parts.iter().filter_map(|part| part.dense()).collect();
        if !dense.is_empty() {
            return Ok(if dense.len() == parts.len() { rows("weight", &dense)?.map(Self::Dense) } else { None });
        }
        let quantized: Vec<&QuantizedArray> = parts.iter().filter_map(|part| part.quantized()).collect();
        let Some(first) = quantized.first() else { return Ok(None) };
        if quantized.iter().any(|part| part.quantization != first.quantization) {
            return Ok(None);
        }
        let field = |name, pick: fn(&QuantizedArray) -> &Array| {
            rows(name, &quantized.iter().map(|part| pick(part)).collect::<Vec<&Array>>())
        };
        let biases: Vec<&Array> = quantized.iter().filter_map(|part| part.biases.as_ref()).collect();
        let biases = if biases.is_empty() { None } else { rows("biases", &biases)? };
        let (weight, scales) = (field("weight", |part| &part.weight)?, field("scales", |part| &part.scales)?);
        let (Some(weight), Some(scales)) = (weight, scales) else { return Ok(None) };
        Ok(Some(Self::Quantized(QuantizedArray { weight, scales, biases, quantization: first.quantization })))
    }

    fn dense(&self) -> Option<&Array> {
        if let Self::Dense(weight) = self { Some(weight) } else { None }
    }

    fn quantized(&self) -> Option<&QuantizedArray> {
        if let Self::Quantized(weight) = self { Some(weight) } else { None }
    }
}

/// The dtype that a CPU computes in; on a GPU it is that of the weights.
fn computed_dtype() -> Option<Dtype> {
    (mlx::backend() == Backend::Cpu).then_some(Dtype::Float32)
}

fn in_computed_dtype(weight: Array) -> Result<Array> {
    match computed_dtype() {
        Some(dtype) if dtype != weight.dtype() => Ok(weight.as_dtype(dtype)?),
        _ => Ok(weight),
    }
}

/// Returns the number of rows of x per matrix; x: (…, columns), or (B, H, L, columns) for H matrices.
fn rows_per_matrix(x: &Array, weight: &Array) -> usize {
    let columns = x.shape().last().copied().unwrap_or(1).max(1);
    let rows = x.size() / columns as usize;
    let heads = if weight.ndim() > 2 { mlx::dim(x, 1).max(1) } else { 1 };
    rows / heads as usize
}

/// Joins arrays along an axis, counted from the last as a negative number, which are alike in the others. Their name is the one
/// that each has in its layer: `weight`, `scales`, `biases` or `bias`.
pub trait Join: Fn(&str, &[&Array], i32) -> Result<Array> {}

impl<F: Fn(&str, &[&Array], i32) -> Result<Array>> Join for F {}

/// Whether arrays of (…, rows, columns) differ in their rows only.
fn are_alike(arrays: &[&Array]) -> bool {
    let but_rows = |array: &Array| {
        let mut shape = array.shape().to_vec();
        let rows = shape.len().wrapping_sub(2);
        if let Some(rows) = shape.get_mut(rows) {
            *rows = 0;
        }
        shape
    };
    arrays.windows(2).all(|pair| match pair {
        [a, b] => a.dtype() == b.dtype() && but_rows(a) == but_rows(b),
        _ => true,
    })
}

/// `x @ weight.T + bias`, with an adapter if there is one.
#[derive(Debug, Clone)]
pub struct Linear {
    pub(super) matrix: Matrix,
    pub(super) bias: Option<Array>,
    /// Boxed, as few layers have one.
    pub(super) adapter: Option<Box<Adapter>>,
}

impl Linear {
    pub fn new(matrix: Matrix, bias: Option<Array>) -> Self {
        Self { matrix, bias, adapter: None }
    }

    pub fn with_adapter(self, adapter: Option<Adapter>) -> Self {
        Self { adapter: adapter.map(Box::new), ..self }
    }

    /// x: (…, in) → (…, out)
    pub fn forward(&self, x: &Array) -> Result<Array> {
        if let (Matrix::Dense(weight), Some(bias), None) = (&self.matrix, &self.bias, &self.adapter)
            && !mlx::has_kernels()
        {
            // One kernel less.
            return Ok(addmm(bias, x, weight.swap_axes(-1, -2)?, None, None)?);
        }
        let y = self.matrix.matmul_transposed(x)?;
        match &self.adapter {
            None => self.add_bias(y),
            Some(adapter) if adapter.precedes_bias() => self.add_bias(adapter.linear(x, &y)?),
            Some(adapter) => adapter.linear(x, &self.add_bias(y)?),
        }
    }

    /// The same of rows that may have to be normalized; `residual`, (…, out), is added. One kernel does all of that, where there
    /// is such a one.
    pub fn forward_rows<'a>(&self, rows: impl Into<Rows<'a>>, residual: Option<&Array>) -> Result<Array> {
        let rows = rows.into();
        let after = residual.filter(|_| self.bias.is_none()).map_or(After::Nothing, After::Add);
        let product = if self.adapter.is_none() { self.matrix.fused_product(&rows, after) } else { None };
        let y = match product {
            Some(y) if matches!(after, After::Add(_)) => return y,
            Some(y) => self.add_bias(y?)?,
            None => self.forward(&rows.value()?)?,
        };
        match residual {
            Some(residual) => Ok(residual.add(y)?),
            None => Ok(y),
        }
    }

    /// `activation` of the first half of the outputs times the second half, in one kernel; `None` where that takes several.
    /// x: (…, in) → (…, out / 2)
    fn forward_gated(&self, rows: &Rows, activation: Activation) -> Option<Result<Array>> {
        let is_served = activation == Activation::Swiglu && self.bias.is_none() && self.adapter.is_none();
        is_served.then(|| self.matrix.fused_product(rows, After::Swiglu))?
    }

    /// The same for experts. x: (…, 1, in), indices: (…) → (…, 1, out / 2)
    pub(super) fn gather_gated(&self, x: &Array, indices: &Array, activation: Activation) -> Option<Result<Array>> {
        let is_served = activation == Activation::Swiglu && self.bias.is_none() && self.adapter.is_none();
        is_served.then(|| self.matrix.fused_gather_product(x, indices, After::Swiglu))?
    }

    fn add_bias(&self, y: Array) -> Result<Array> {
        match &self.bias {
            Some(bias) => Ok(y.add(bias)?),
            None => Ok(y),
        }
    }

    /// Returns the quantization of the matrix, if it is quantized.
    pub fn quantization(&self) -> Option<Quantization> {
        self.matrix.quantized().map(|matrix| matrix.quantization)
    }

    /// The arrays that this layer consists of.
    pub fn arrays(&self) -> Vec<Array> {
        let mut arrays = self.matrix.arrays();
        arrays.extend(self.bias.clone());
        arrays.extend(self.adapter.iter().flat_map(|adapter| adapter.arrays()));
        arrays
    }

    /// Joins layers into one with all outputs, or returns `None` if they are not stored alike or one has an adapter.
    pub(super) fn stack(parts: &[Self], join: &impl Join) -> Result<Option<Self>> {
        if parts.iter().any(|part| part.adapter.is_some()) {
            return Ok(None);
        }
        let matrices: Vec<&Matrix> = parts.iter().map(|part| &part.matrix).collect();
        let biases: Vec<&Array> = parts.iter().filter_map(|part| part.bias.as_ref()).collect();
        if !biases.is_empty() && biases.len() != parts.len() {
            return Ok(None);
        }
        let Some(matrix) = Matrix::stack(&matrices, join)? else { return Ok(None) };
        let bias = if biases.is_empty() { None } else { Some(join("bias", &biases, -1)?) };
        Ok(Some(Self::new(matrix, bias)))
    }
}

/// Linear layers with the same input. If they are stored alike, they are one matrix: on a GPU the time of a step
/// depends on the number of kernels, and this saves three per layer.
#[derive(Debug)]
pub enum FusedLinear {
    Fused { linear: Linear, inner_ends: Vec<i32> },
    Separate(Vec<Linear>),
}

impl FusedLinear {
    /// Joins `parts`, which have `outputs` output features each.
    pub fn new(parts: Vec<Linear>, outputs: impl Iterator<Item = i32>, join: &impl Join) -> Result<Self> {
        let Some(linear) = Linear::stack(&parts, join)? else { return Ok(Self::Separate(parts)) };
        let mut inner_ends: Vec<i32> = outputs
            .scan(0, |end, width| {
                *end += width;
                Some(*end)
            })
            .collect();
        inner_ends.pop();
        Ok(Self::Fused { linear, inner_ends })
    }

    /// x: (…, in) → (…, all out), the parts side by side; `None` if they are not one matrix
    pub fn forward_fused<'a>(&self, rows: impl Into<Rows<'a>>) -> Option<Result<Array>> {
        match self {
            Self::Fused { linear, .. } => Some(linear.forward_rows(rows, None)),
            Self::Separate(_) => None,
        }
    }

    /// Of two parts of the same width, `activation` of the first times the second, if one kernel can do that. x: (…, in) →
    /// (…, out)
    pub fn forward_gated(&self, rows: &Rows, activation: Activation) -> Option<Result<Array>> {
        match self {
            Self::Fused { linear, .. } => linear.forward_gated(rows, activation),
            Self::Separate(_) => None,
        }
    }

    /// x: (…, in) → one (…, out) for each part
    pub fn forward<'a, const N: usize>(&self, rows: impl Into<Rows<'a>>) -> Result<[Array; N]> {
        let rows = rows.into();
        match self {
            Self::Fused { linear, .. } => self.split(&linear.forward_rows(rows, None)?),
            Self::Separate(parts) => {
                let x = rows.value()?;
                mlx::exactly(parts.iter().map(|part| part.forward(&x)).collect::<Result<_>>()?)
            }
        }
    }

    /// What `forward_fused` returned → one (…, out) for each part
    pub fn split<const N: usize>(&self, fused: &Array) -> Result<[Array; N]> {
        match self {
            Self::Fused { inner_ends, .. } => mlx::split(fused, inner_ends, -1),
            Self::Separate(_) => Err(Error::internal("parts that are not one matrix")),
        }
    }

    /// x: (…, in) → (…, all out), the parts concatenated
    pub fn forward_joined(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Fused { linear, .. } => linear.forward(x),
            Self::Separate(parts) => {
                let outputs: Vec<Array> = parts.iter().map(|part| part.forward(x)).collect::<Result<_>>()?;
                Ok(concatenate(&outputs, -1)?)
            }
        }
    }

    /// The arrays that the layers consist of.
    pub fn arrays(&self) -> Vec<Array> {
        match self {
            Self::Fused { linear, .. } => linear.arrays(),
            Self::Separate(parts) => parts.iter().flat_map(Linear::arrays).collect(),
        }
    }
}

#[cfg(test)]
pub(super) fn concatenated(_: &str, arrays: &[&Array], axis: i32) -> Result<Array> {
    Ok(concatenate(arrays, axis)?)
}

#[cfg(test)]
mod tests {
    use mlx_rs::random;

    use super::*;
    use crate::mlx::QuantizationMode;

    fn layer(outputs: i32, quantization: Option<Quantization>) -> Linear {
        let normal = |shape: &[i32]| random::normal::<f32>(shape, None, None, None).unwrap();
        let weight = normal(&[outputs, 64]);
        let matrix = match quantization {
            Some(quantization) => Matrix::Quantized(QuantizedArray::quantize(&weight, quantization).unwrap()),
            None => Matrix::Dense(weight),
        };
        Linear::new(matrix, Some(normal(&[outputs])))
    }

    #[test]
    fn joined_layers_equal_separate_ones() {
        mlx::choose_backend(None).unwrap();
        random::seed(1).unwrap();
        let affine = Quantization { group_size: 32, bits: 4, mode: QuantizationMode::Affine };
        let nvfp4 = Quantization { group_size: 16, bits: 4, mode: QuantizationMode::Nvfp4 };
        let x = random::normal::<f32>(&[1, 3, 64], None, None, None).unwrap();
        for (kinds, joins) in [
            ([None, None], true),
            ([Some(affine), Some(affine)], true),
            ([Some(nvfp4), Some(nvfp4)], true),
            ([Some(affine), Some(nvfp4)], false),
            ([Some(affine), None], false),
        ] {
            let parts = vec![layer(24, kinds[0]), layer(8, kinds[1])];
            let separate: [Array; 2] = FusedLinear::Separate(parts.clone()).forward(&x).unwrap();
            let both = FusedLinear::new(parts, [24, 8].into_iter(), &concatenated).unwrap();
            assert_eq!(matches!(both, FusedLinear::Fused { .. }), joins, "{kinds:?}");
            let fused: [Array; 2] = both.forward(&x).unwrap();
            for (fused, separate) in fused.iter().zip(&separate) {
                assert!(fused.all_close(separate, 1e-4, 1e-4, None).unwrap(), "{kinds:?}");
            }
        }
    }
}
