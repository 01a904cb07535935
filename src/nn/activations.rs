// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/activations.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Activations, each fused into one kernel where MLX compiles.

use std::{cell::RefCell, f32::consts::PI};

use mlx_rs::{
    Array, Dtype,
    error::Exception,
    ops::{maximum, minimum, sigmoid, tanh},
    transforms::compile::compile,
};

use crate::{
    error::Result,
    mlx::{self, Activation, scalar, split},
};

/// The activation of each gate and x, which have the same shape.
pub fn gated(activation: Activation, gate: &Array, x: &Array) -> Result<Array> {
    match activation {
        Activation::Swiglu => swiglu(gate, x),
        Activation::Geglu => geglu(gate, x),
        Activation::Sigmoid => sigmoid_gate(gate, x),
        Activation::SwigluOai => swiglu_oai(gate, x),
    }
}

/// The same of gates and values side by side; (…, 2 * D) → (…, D)
pub fn gated_halves(activation: Activation, both: &Array) -> Result<Array> {
    if let Some(y) = mlx::gated_halves(activation, both) {
        return y;
    }
    let half = both.shape().last().copied().unwrap_or(0) / 2;
    let [gate, x] = split(both, &[half], -1)?;
    gated(activation, &gate, &x)
}

type Answer = Result<Array, Exception>;
type Unary = Box<dyn for<'a> FnMut(&'a Array) -> Answer>;
type Binary = Box<dyn for<'a> FnMut((&'a Array, &'a Array)) -> Answer>;

/// Defines a function that MLX compiles at its first call on each thread: compiled functions belong to a thread. Our own
/// kernels compute what is named after `or`, where they can.
macro_rules! compiled {
    ($(#[$doc:meta])* $name:ident($x:ident) => $body:block) => {
        $(#[$doc])*
        pub fn $name($x: &Array) -> Result<Array> {
            thread_local! { static COMPILED: RefCell<Option<Unary>> = const { RefCell::new(None) }; }
            COMPILED.with_borrow_mut(|function| {
                let plain = |$x: &Array| -> Answer { $body };
                Ok(function.get_or_insert_with(|| Box::new(compile(plain, true)))($x)?)
            })
        }
    };
    ($(#[$doc:meta])* $name:ident($x:ident, $y:ident) => $body:block) => {
        $(#[$doc])*
        pub fn $name($x: &Array, $y: &Array) -> Result<Array> {
            thread_local! { static COMPILED: RefCell<Option<Binary>> = const { RefCell::new(None) }; }
            COMPILED.with_borrow_mut(|function| {
                let plain = |($x, $y): (&Array, &Array)| -> Answer { $body };
                Ok(function.get_or_insert_with(|| Box::new(compile(plain, true)))(($x, $y))?)
            })
        }
    };
    ($(#[$doc:meta])* $name:ident($gate:ident, $x:ident) or $activation:ident => $body:block) => {
        $(#[$doc])*
        pub fn $name($gate: &Array, $x: &Array) -> Result<Array> {
            compiled! { plain($gate, $x) => $body }
            mlx::gated(Activation::$activation, $gate, $x).unwrap_or_else(|| plain($gate, $x))
        }
    };
}

fn plain_gelu_approx(x: &Array) -> Answer {
    let cubed = x.square()?.multiply(x)?;
    let inner =
        x.add(cubed.multiply(scalar(0.044_715, x.dtype())?)?)?.multiply(scalar((2.0 / PI).sqrt(), x.dtype())?)?;
    x.multiply(scalar(0.5, x.dtype())?)?.multiply(tanh(inner)?.add(scalar(1.0, x.dtype())?)?)
}

compiled! {
    /// `x * sigmoid(x)`.
    silu(x) => { x.multiply(sigmoid(x)?) }
}

compiled! {
    /// The Gaussian error linear unit, approximated by a hyperbolic tangent.
    gelu_approx(x) => { plain_gelu_approx(x) }
}

compiled! {
    /// `silu(gate) * x`.
    swiglu(gate, x) or Swiglu => { gate.multiply(sigmoid(gate)?)?.multiply(x) }
}

compiled! {
    /// `silu(gate) * x` in f32, in gate's dtype at the end.
    precise_swiglu(gate, x) or Swiglu => {
        let wide = gate.as_dtype(Dtype::Float32)?;
        wide.multiply(sigmoid(&wide)?)?.multiply(x.as_dtype(Dtype::Float32)?)?.as_dtype(gate.dtype())
    }
}

compiled! {
    /// `sigmoid(gate) * x`.
    sigmoid_gate(gate, x) or Sigmoid => { sigmoid(gate)?.multiply(x) }
}

compiled! {
    /// `gelu_approx(gate) * x`.
    geglu(gate, x) or Geglu => { plain_gelu_approx(gate)?.multiply(x) }
}

compiled! {
    /// GPT-OSS's SwiGLU: the gate is clipped from above, x from both sides, and 1 is added to x.
    swiglu_oai(gate, x) or SwigluOai => {
        const ALPHA: f32 = 1.702;
        const LIMIT: f32 = 7.0;
        let gate = minimum(gate, scalar(LIMIT, gate.dtype())?)?;
        let x = maximum(minimum(x, scalar(LIMIT, x.dtype())?)?, scalar(-LIMIT, x.dtype())?)?;
        let swish = gate.multiply(sigmoid(gate.multiply(scalar(ALPHA, gate.dtype())?)?)?)?;
        x.add(scalar(1.0, x.dtype())?)?.multiply(swish)
    }
}

compiled! {
    /// `x + y` in f32, rounded to the nearest f16 number.
    clipped_sum(x, y) => {
        let bound = Array::from_f32(half::f16::MAX.to_f32());
        let sum = x.as_dtype(Dtype::Float32)?.add(y.as_dtype(Dtype::Float32)?)?;
        maximum(minimum(sum, &bound)?, bound.negative()?)?.as_dtype(Dtype::Float16)
    }
}

compiled! {
    /// `tanh(x / cap) * cap`, both arrays.
    softcap_by(x, cap) => { tanh(x.divide(cap)?)?.multiply(cap) }
}

/// `tanh(x / cap) * cap`.
pub fn softcap(x: &Array, cap: f32) -> Result<Array> {
    softcap_by(x, &scalar(cap, x.dtype())?)
}

/// Logits with a soft cap, if there is one.
pub fn soft_capped(logits: Array, cap: Option<f32>) -> Result<Array> {
    cap.map_or(Ok(logits.clone()), |cap| softcap(&logits, cap))
}
