// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Linear layers over matrices that are dense or quantized.

use mlx_rs::{
    Array,
    ops::{addmm, concatenate},
};

use super::{Activation, Adapter, Join, Matrix, Rows};
use crate::{
    error::{Error, Result},
    mlx::{self, After, Quantization},
};

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
        if rows.is_plain() && residual.is_none() {
            return self.forward(rows.x);
        }
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
        self.gates(activation).then(|| self.matrix.fused_product(rows, After::Swiglu))?
    }

    /// The same for experts. x: (…, 1, in), indices: (…) → (…, 1, out / 2)
    pub(super) fn gather_gated(&self, x: &Array, indices: &Array, activation: Activation) -> Option<Result<Array>> {
        self.gates(activation).then(|| self.matrix.fused_gather_product(x, indices, After::Swiglu))?
    }

    /// Whether a product's kernel can do the activation of these outputs.
    fn gates(&self, activation: Activation) -> bool {
        activation == Activation::Swiglu && self.bias.is_none() && self.adapter.is_none()
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
    use crate::mlx::{QuantizationMode, QuantizedArray};

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
