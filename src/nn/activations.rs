// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/activations.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Activations that take more than one array, fused into one kernel where MLX compiles.

use std::cell::RefCell;

use mlx_rs::{Array, error::Exception, ops::sigmoid, transforms::compile::compile};

use crate::error::Result;

type Binary = Box<dyn for<'a> FnMut((&'a Array, &'a Array)) -> Result<Array, Exception>>;

thread_local! {
    // Compiled functions belong to the thread that made them.
    static SWIGLU: RefCell<Option<Binary>> = const { RefCell::new(None) };
}

/// `silu(gate) * x`, elementwise.
pub fn swiglu(gate: &Array, x: &Array) -> Result<Array> {
    SWIGLU.with_borrow_mut(|function| {
        let function = function.get_or_insert_with(|| {
            let plain = |(gate, x): (&Array, &Array)| gate.multiply(sigmoid(gate)?)?.multiply(x);
            Box::new(compile(plain, true))
        });
        Ok(function((gate, x))?)
    })
}
