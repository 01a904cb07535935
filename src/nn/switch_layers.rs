// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/switch_layers.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Layers of which each token uses a few experts.

use mlx_rs::{Array, Dtype, ops};

use super::{
    Activation, Join, Linear,
    activations::{gated, gated_halves},
};
use crate::{
    error::{Error, Result},
    mlx,
};

/// Number of (token, expert) pairs from which pairs are sorted by expert, so that each expert is read once.
const SORT_FROM: usize = 64;

/// The largest nvfp4 number, to which the global scale corresponds: 448 of E4M3 times 6 of E2M1.
const NVFP4_MAX: f32 = 448.0 * 6.0;

/// `x @ weight[expert].T + bias[expert]`, for weights of (experts, out, in).
#[derive(Debug)]
pub struct SwitchLinear {
    linear: Linear,
    /// nvfp4 only: the largest magnitude of each expert's weights, (experts).
    global_scale: Option<Array>,
}

impl SwitchLinear {
    pub fn new(linear: Linear, global_scale: Option<Array>) -> Self {
        Self { linear, global_scale }
    }

    /// x: (…, 1, in), indices: (…) → (…, 1, out)
    pub fn forward(&self, x: &Array, indices: &Array, sorted: bool) -> Result<Array> {
        let of_expert = |array: &Array| Ok::<_, Error>(array.take_axis(indices, 0)?.expand_dims(-2)?);
        let Linear { matrix, bias, adapter } = &self.linear;
        let mut y = match &self.global_scale {
            None => matrix.gather_matmul_transposed(x, indices, sorted)?,
            Some(scale) => {
                // Before scaling, the products could exceed the range of f16.
                let y = matrix.gather_matmul_transposed(&x.as_dtype(Dtype::Float32)?, indices, sorted)?;
                let scale = scale.as_dtype(Dtype::Float32)?.divide(Array::from_f32(NVFP4_MAX))?;
                y.multiply(of_expert(&scale.expand_dims(-1)?)?)?.as_dtype(x.dtype())?
            }
        };
        if let Some(bias) = bias {
            y = y.add(of_expert(bias)?)?;
        }
        match adapter {
            Some(adapter) => adapter.experts(x, &y, indices, sorted),
            None => Ok(y),
        }
    }

    /// `activation` of the first half of the outputs times the second half, in one kernel; `None` where that takes several.
    /// x: (…, 1, in), indices: (…) → (…, 1, out / 2)
    fn forward_gated(&self, x: &Array, indices: &Array, activation: Activation) -> Option<Result<Array>> {
        if self.global_scale.is_some() { None } else { self.linear.gather_gated(x, indices, activation) }
    }

    /// Joins two layers into one with both outputs, or returns `None` if they are not stored alike.
    fn stack(a: &Self, b: &Self, join: &impl Join) -> Result<Option<Self>> {
        if a.global_scale.is_some() || b.global_scale.is_some() {
            return Ok(None);
        }
        Ok(Linear::stack(&[a.linear.clone(), b.linear.clone()], join)?.map(|linear| Self::new(linear, None)))
    }

    fn arrays(&self) -> Vec<Array> {
        let mut arrays = self.linear.arrays();
        arrays.extend(self.global_scale.clone());
        arrays
    }
}

/// Gate and up projections, as one where they are stored alike.
#[derive(Debug)]
enum GateUp {
    Fused(SwitchLinear),
    Separate { gate: SwitchLinear, up: SwitchLinear },
}

/// A gated feed-forward network for each expert.
#[derive(Debug)]
pub struct SwitchGlu {
    gate_up_proj: GateUp,
    down_proj: SwitchLinear,
    activation: Activation,
}

impl SwitchGlu {
    /// From layers over (experts, out, in).
    pub fn new(
        gate: SwitchLinear,
        up: SwitchLinear,
        down_proj: SwitchLinear,
        activation: Activation,
        join: &impl Join,
    ) -> Result<Self> {
        Ok(match SwitchLinear::stack(&gate, &up, join)? {
            Some(both) => Self { gate_up_proj: GateUp::Fused(both), down_proj, activation },
            None => Self::separate(gate, up, down_proj, activation),
        })
    }

    /// The same without joining gate and up.
    pub fn separate(gate: SwitchLinear, up: SwitchLinear, down_proj: SwitchLinear, activation: Activation) -> Self {
        Self { gate_up_proj: GateUp::Separate { gate, up }, down_proj, activation }
    }

    /// x: (…, D), indices: (…, K) of the experts of each token → (…, K, D)
    pub fn forward(&self, x: &Array, indices: &Array) -> Result<Array> {
        let x = x.expand_dims_axes(&[-2, -3])?;
        if indices.size() < SORT_FROM {
            return Ok(self.experts(&x, indices, false)?.squeeze_axes(&[-2])?);
        }
        let per_token = indices.shape().last().copied().unwrap_or(1);
        let flat = indices.flatten(None, None)?;
        let order = ops::argsort(&flat)?;
        let inverse = ops::argsort(&order)?;
        // (…, 1, 1, D) -> (pairs, 1, D)
        let rows = x.flatten(0, -3)?.take_axis(order.floor_divide(mlx::scalar_like(per_token, &order)?)?, 0)?;
        let y = self.experts(&rows, &flat.take_axis(&order, 0)?, true)?.take_axis(&inverse, 0)?;
        // (pairs, 1, D) -> (…, K, D)
        let mut shape = indices.shape().to_vec();
        shape.push(y.shape().last().copied().unwrap_or(0));
        Ok(y.reshape(&shape)?)
    }

    fn experts(&self, x: &Array, indices: &Array, sorted: bool) -> Result<Array> {
        let hidden = match &self.gate_up_proj {
            GateUp::Fused(both) => match both.forward_gated(x, indices, self.activation) {
                Some(hidden) => hidden?,
                None => gated_halves(self.activation, &both.forward(x, indices, sorted)?)?,
            },
            GateUp::Separate { gate, up } => {
                gated(self.activation, &gate.forward(x, indices, sorted)?, &up.forward(x, indices, sorted)?)?
            }
        };
        self.down_proj.forward(&hidden, indices, sorted)
    }

    /// The arrays that the layers consist of.
    pub fn arrays(&self) -> Vec<Array> {
        let mut arrays = match &self.gate_up_proj {
            GateUp::Fused(both) => both.arrays(),
            GateUp::Separate { gate, up } => [gate.arrays(), up.arrays()].concat(),
        };
        arrays.extend(self.down_proj.arrays());
        arrays
    }
}

/// The `k` experts with the highest scores; scores: (…, E) → indices (…, K), in no particular order.
pub fn top_k(scores: &Array, k: i32) -> Result<Array> {
    let experts = scores.shape().last().copied().unwrap_or(0);
    let order = ops::argpartition_axis(scores, -k, -1)?;
    mlx::slice_axis(&order, -1, experts - k, experts)
}

/// The experts' outputs, weighted and summed; y: (…, K, D), scores: (…, K) → (…, D) in y's dtype.
pub fn combine(y: &Array, scores: &Array) -> Result<Array> {
    let sum = y.multiply(scores.expand_dims(-1)?)?.sum_axis(-2, false)?;
    if sum.dtype() == y.dtype() { Ok(sum) } else { Ok(sum.as_dtype(y.dtype())?) }
}

#[cfg(test)]
mod tests {
    use mlx_rs::random;

    use super::*;
    use crate::{
        mlx::{Quantization, QuantizationMode, QuantizedArray},
        nn::{Matrix, linear::concatenated},
    };

    const NVFP4: Quantization = Quantization { group_size: 16, bits: 4, mode: QuantizationMode::Nvfp4 };

    fn normal(shape: &[i32]) -> Array {
        random::normal::<f32>(shape, None, None, None).unwrap()
    }

    fn assert_close(a: &Array, b: &Array) {
        assert!(a.all_close(b, 1e-4, 1e-4, None).unwrap());
    }

    /// Returns three experts from 32 to 32 features, and their dense weights.
    fn experts(global_scale: Option<&[f32; 3]>) -> (SwitchLinear, Array) {
        let quantized = QuantizedArray::quantize(&normal(&[3, 32, 32]), NVFP4).unwrap();
        let dense = quantized.dequantize(Some(Dtype::Float32)).unwrap();
        let scale = global_scale.map(|scale| Array::from_slice(scale, &[3]));
        let dense = match &scale {
            Some(scale) => dense.multiply(scale.reshape(&[3, 1, 1]).unwrap()).unwrap().divide(Array::from_f32(2688.0)),
            None => Ok(dense),
        };
        (SwitchLinear::new(Linear::new(Matrix::Quantized(quantized), None), scale), dense.unwrap())
    }

    #[test]
    fn a_global_scale_multiplies_the_weights_of_its_expert() {
        mlx::choose_backend(None).unwrap();
        random::seed(1).unwrap();
        let (layer, dense) = experts(Some(&[100.0, 3000.0, 20.0]));
        let (x, indices) = (normal(&[2, 1, 1, 32]), Array::from_slice(&[2, 0, 1, 2], &[2, 2]));
        let expected = mlx::gather_matmul(&x, &dense.swap_axes(-1, -2).unwrap(), &indices, false).unwrap();
        assert_close(&layer.forward(&x, &indices, false).unwrap(), &expected);
    }

    #[test]
    fn joined_gate_and_up_equal_separate_ones() {
        mlx::choose_backend(None).unwrap();
        random::seed(2).unwrap();
        let (x, indices) = (normal(&[1, 2, 32]), Array::from_slice(&[1, 0, 2, 1], &[1, 2, 2]));
        for scales in [None, Some([&[3000.0, 2000.0, 4000.0], &[2688.0, 5000.0, 2500.0]])] {
            let clone = |layer: &SwitchLinear| SwitchLinear::new(layer.linear.clone(), layer.global_scale.clone());
            let [gate, up] = [0, 1].map(|part| experts(scales.map(|scales| scales[part])).0);
            let down = experts(None).0;
            let separate = SwitchGlu::separate(clone(&gate), clone(&up), clone(&down), Activation::Swiglu);
            let joined = SwitchGlu::new(gate, up, down, Activation::Swiglu, &concatenated).unwrap();
            assert_eq!(matches!(joined.gate_up_proj, GateUp::Fused(_)), scales.is_none());
            assert_close(&joined.forward(&x, &indices).unwrap(), &separate.forward(&x, &indices).unwrap());
        }
    }
}
