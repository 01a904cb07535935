// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Activations of gated feed-forward networks.

use super::math::{EXP_COST, sigmoid};
use crate::{
    Kernels,
    simd::{Kernel, Simd, dispatch},
    tensor::Tensor,
};

/// A function of a gate and a value, of a gated feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `gate * sigmoid(gate) * x`
    Swiglu,
    /// `gelu(gate) * x`, with GELU approximated by a hyperbolic tangent.
    Geglu,
    /// `sigmoid(gate) * x`
    Sigmoid,
    /// GPT-OSS's: gate and x are clipped at 7, x at -7 too; `gate * sigmoid(1.702 gate) * (x + 1)`
    SwigluOai,
}

impl Kernels {
    /// Applies the function elementwise; gate, x: (…, D) → (…, D), row by row
    ///
    /// # Panics
    /// If the shapes differ, or `y` does not have their size.
    pub fn gated(&self, activation: Activation, gate: Tensor<'_>, x: Tensor<'_>, y: &mut [f32]) {
        let width = gate.shape()[3];
        assert!(gate.shape() == x.shape() && y.len() == gate.rows() * width);
        self.for_each_row(y, width, EXP_COST, |row, y| {
            dispatch(self.set, Apply { activation, gate: gate.row_at(row), x: x.row_at(row), y });
        });
    }
}

struct Apply<'a> {
    activation: Activation,
    gate: &'a [f32],
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { activation, gate, x, y } = self;
        let whole = y.len() / S::LANES * S::LANES;
        let (parts, rest) = y.split_at_mut(whole);
        for ((gate, x), y) in
            gate.chunks_exact(S::LANES).zip(x.chunks_exact(S::LANES)).zip(parts.chunks_exact_mut(S::LANES))
        {
            simd.store(apply(simd, activation, simd.load(gate), simd.load(x)), y);
        }
        if !rest.is_empty() {
            let (mut last_gate, mut last_x) = ([0.0; 16], [0.0; 16]);
            last_gate[..rest.len()].copy_from_slice(&gate[whole..]);
            last_x[..rest.len()].copy_from_slice(&x[whole..]);
            let mut last = [0.0; 16];
            simd.store(apply(simd, activation, simd.load(&last_gate), simd.load(&last_x)), &mut last);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

#[inline(always)]
fn apply<S: Simd>(simd: S, activation: Activation, gate: S::F, x: S::F) -> S::F {
    match activation {
        Activation::Swiglu => simd.mul(simd.mul(gate, sigmoid(simd, gate)), x),
        // (1 + tanh z) / 2 = sigmoid(2 z), with z = sqrt(2 / π) (g + 0.044715 g³)
        Activation::Geglu => {
            let cubic = simd.mul_add(simd.mul(gate, gate), simd.splat(0.044_715), simd.splat(1.0));
            let inner = simd.mul(simd.mul(gate, cubic), simd.splat(1.595_769_2));
            simd.mul(simd.mul(gate, sigmoid(simd, inner)), x)
        }
        Activation::Sigmoid => simd.mul(sigmoid(simd, gate), x),
        Activation::SwigluOai => {
            let limit = simd.splat(7.0);
            let gate = simd.min(limit, gate);
            let x = simd.max(simd.splat(-7.0), simd.min(limit, x));
            let swish = simd.mul(gate, sigmoid(simd, simd.mul(gate, simd.splat(1.702))));
            simd.mul(simd.add(x, simd.splat(1.0)), swish)
        }
    }
}
