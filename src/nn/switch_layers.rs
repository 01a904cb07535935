// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/switch_layers.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Layers of which each token uses a few experts.

use mlx_rs::{Array, ops};

use super::{Linear, activations::Gated};
use crate::{
    error::{Error, Result},
    mlx,
};

/// From this many (token, expert) pairs on, pairs are sorted by expert, so that each expert is read once.
const SORT_FROM: usize = 64;

/// `x @ weight[expert].T + bias[expert]`, for weights of (experts, out, in).
#[derive(Debug)]
pub struct SwitchLinear(Linear);

impl SwitchLinear {
    pub fn new(linear: Linear) -> Self {
        Self(linear)
    }

    /// x: (…, 1, in), indices: (…) → (…, 1, out)
    pub fn forward(&self, x: &Array, indices: &Array, sorted: bool) -> Result<Array> {
        let y = self.0.matrix.gather_matmul_transposed(x, indices, sorted)?;
        match &self.0.bias {
            Some(bias) => Ok(y.add(bias.take_axis(indices, 0)?.expand_dims(-2)?)?),
            None => Ok(y),
        }
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
    activation: Gated,
}

impl SwitchGlu {
    /// From layers over (experts, out, in).
    pub fn new(gate: Linear, up: Linear, down: Linear, activation: Gated) -> Result<Self> {
        let parts = [gate, up];
        Ok(match (Linear::stack(&parts)?, parts) {
            (Some(both), _) => Self {
                gate_up_proj: GateUp::Fused(SwitchLinear::new(both)),
                down_proj: SwitchLinear::new(down),
                activation,
            },
            (None, [gate, up]) => Self::separate(gate, up, down, activation),
        })
    }

    /// The same without joining gate and up.
    pub fn separate(gate: Linear, up: Linear, down: Linear, activation: Gated) -> Self {
        let [gate, up, down_proj] = [gate, up, down].map(SwitchLinear::new);
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
        let (gate, up) = match &self.gate_up_proj {
            GateUp::Fused(both) => {
                let y = both.forward(x, indices, sorted)?;
                let half = y.shape().last().copied().unwrap_or(0) / 2;
                let parts = mlx::split(&y, &[half], -1)?;
                <[Array; 2]>::try_from(parts).map_err(|_| Error::internal("not two halves"))?.into()
            }
            GateUp::Separate { gate, up } => (gate.forward(x, indices, sorted)?, up.forward(x, indices, sorted)?),
        };
        self.down_proj.forward(&(self.activation)(&gate, &up)?, indices, sorted)
    }

    /// The arrays that the layers consist of.
    pub fn arrays(&self) -> Vec<Array> {
        let mut arrays = match &self.gate_up_proj {
            GateUp::Fused(both) => both.0.arrays(),
            GateUp::Separate { gate, up } => [gate.0.arrays(), up.0.arrays()].concat(),
        };
        arrays.extend(self.down_proj.0.arrays());
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
