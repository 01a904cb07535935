// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Matrices that are dense or quantized, and the linear layers over them.

use mlx_rs::{Array, ops::concatenate};

use crate::{
    error::{Error, Result},
    mlx::{self, Backend, Quantization},
};

/// From this many rows on, a quantized matrix is dequantized and multiplied as a dense one, instead of by MLX's kernel.
///
/// `__test__/bench/rows.rs` measures it: on a CPU the two cross at about ten rows. On NVIDIA GPUs the kernel wins up to 16
/// rows and loses by far at 2048; nothing between was measured. On Metal nothing was: the kernel stays, as in mlx-lm.
fn dequantize_from_rows() -> usize {
    match mlx::backend() {
        Backend::Cpu => 8,
        Backend::Gpu if mlx::is_cuda() => 64,
        Backend::Gpu => usize::MAX,
    }
}

/// A matrix of shape (rows, columns), as a checkpoint stores it.
#[derive(Debug, Clone)]
pub enum Matrix {
    Dense(Array),
    Quantized { weight: Array, scales: Array, biases: Option<Array>, quantization: Quantization },
}

impl Matrix {
    /// `x @ self.T`; x: (…, columns) → (…, rows)
    pub fn matmul_transposed(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Dense(weight) => Ok(x.matmul(weight.transpose()?)?),
            Self::Quantized { weight, scales, biases, quantization } => {
                let columns = x.shape().last().copied().unwrap_or(1).max(1);
                if x.size() / columns as usize >= dequantize_from_rows() {
                    let dense = mlx::dequantize(weight, scales, biases.as_ref(), *quantization)?;
                    return Ok(x.matmul(dense.transpose()?)?);
                }
                mlx::quantized_matmul(x, weight, scales, biases.as_ref(), *quantization)
            }
        }
    }

    /// The rows with the given indices; indices: (…) → (…, columns)
    pub fn take_rows(&self, indices: &Array) -> Result<Array> {
        match self {
            Self::Dense(weight) => Ok(weight.take_axis(indices, 0)?),
            Self::Quantized { weight, scales, biases, quantization } => {
                let biases = biases.as_ref().map(|biases| biases.take_axis(indices, 0)).transpose()?;
                mlx::dequantize(
                    &weight.take_axis(indices, 0)?,
                    &scales.take_axis(indices, 0)?,
                    biases.as_ref(),
                    *quantization,
                )
            }
        }
    }

    /// The arrays that this matrix consists of.
    pub fn arrays(&self) -> Vec<Array> {
        match self {
            Self::Dense(weight) => vec![weight.clone()],
            Self::Quantized { weight, scales, biases, .. } => {
                [Some(weight), Some(scales), biases.as_ref()].into_iter().flatten().cloned().collect()
            }
        }
    }

    /// One above the other, or `None` if they are not stored alike.
    fn stack(parts: &[&Self]) -> Result<Option<Self>> {
        let columns = |pick: &dyn Fn(&Self) -> Option<Array>| -> Result<Option<Array>> {
            let arrays: Option<Vec<Array>> = parts.iter().map(|part| pick(part)).collect();
            let Some(arrays) = arrays else { return Ok(None) };
            let alike = arrays.windows(2).all(|pair| match pair {
                [a, b] => a.dtype() == b.dtype() && a.shape().get(1..) == b.shape().get(1..),
                _ => true,
            });
            Ok(if alike { Some(concatenate(&arrays, 0)?) } else { None })
        };
        match parts.first() {
            Some(Self::Dense(_)) => Ok(columns(&|part| match part {
                Self::Dense(weight) => Some(weight.clone()),
                Self::Quantized { .. } => None,
            })?
            .map(Self::Dense)),
            Some(Self::Quantized { quantization, .. }) => {
                let quantization = *quantization;
                let field = |index: usize| {
                    columns(&|part| match part {
                        Self::Quantized { quantization: other, .. } if *other == quantization => {
                            part.arrays().get(index).cloned()
                        }
                        _ => None,
                    })
                };
                let (Some(weight), Some(scales)) = (field(0)?, field(1)?) else { return Ok(None) };
                Ok(Some(Self::Quantized { weight, scales, biases: field(2)?, quantization }))
            }
            None => Ok(None),
        }
    }
}

/// `x @ weight.T + bias`.
#[derive(Debug, Clone)]
pub struct Linear {
    matrix: Matrix,
    bias: Option<Array>,
}

impl Linear {
    pub fn new(matrix: Matrix, bias: Option<Array>) -> Self {
        Self { matrix, bias }
    }

    /// x: (…, in) → (…, out)
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let y = self.matrix.matmul_transposed(x)?;
        match &self.bias {
            Some(bias) => Ok(y.add(bias)?),
            None => Ok(y),
        }
    }

    /// The arrays that this layer consists of.
    pub fn arrays(&self) -> Vec<Array> {
        let mut arrays = self.matrix.arrays();
        arrays.extend(self.bias.clone());
        arrays
    }
}

/// Linear layers over the same input. Stored alike, they are one matrix: on a GPU a step's time goes with the number
/// of kernels, and this saves three a layer.
#[derive(Debug)]
pub enum FusedLinear {
    Fused { linear: Linear, outputs: Vec<i32> },
    Separate(Vec<Linear>),
}

impl FusedLinear {
    /// Joins `parts`, which give `outputs` features each.
    pub fn new(parts: Vec<Linear>, outputs: impl Iterator<Item = i32>) -> Result<Self> {
        let matrices: Vec<&Matrix> = parts.iter().map(|part| &part.matrix).collect();
        let biases: Vec<&Array> = parts.iter().filter_map(|part| part.bias.as_ref()).collect();
        let Some(matrix) = Matrix::stack(&matrices)? else { return Ok(Self::Separate(parts)) };
        let bias = if biases.is_empty() {
            None
        } else if biases.len() == parts.len() {
            Some(concatenate(&biases, 0)?)
        } else {
            return Ok(Self::Separate(parts));
        };
        Ok(Self::Fused { linear: Linear::new(matrix, bias), outputs: outputs.collect() })
    }

    /// x: (…, in) → one (…, out) for each part
    pub fn forward<const N: usize>(&self, x: &Array) -> Result<[Array; N]> {
        let parts = match self {
            Self::Fused { linear, outputs } => {
                let ends: Vec<i32> = outputs
                    .iter()
                    .scan(0, |end, width| {
                        *end += width;
                        Some(*end)
                    })
                    .collect();
                let inner = ends.get(..ends.len().saturating_sub(1)).unwrap_or_default();
                linear.forward(x)?.split_at_indices(inner, -1)?
            }
            Self::Separate(parts) => parts.iter().map(|part| part.forward(x)).collect::<Result<_>>()?,
        };
        parts.try_into().map_err(|parts: Vec<Array>| Error::internal(format!("{} parts, not {N}", parts.len())))
    }

    /// The arrays that the layers consist of.
    pub fn arrays(&self) -> Vec<Array> {
        match self {
            Self::Fused { linear, .. } => linear.arrays(),
            Self::Separate(parts) => parts.iter().flat_map(Linear::arrays).collect(),
        }
    }
}
