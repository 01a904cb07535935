// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The short convolutions of recurrent layers.

use mlx_rs::{Array, Dtype, error::Exception, ops::sigmoid};

use super::activations::silu;
use crate::{
    error::Result,
    mlx::{self, Compiled},
};

thread_local! {
    static PRODUCTS: Compiled = Compiled::new(products, true);
    static CONVOLVE: Compiled = Compiled::new(convolve, true);
}

/// A depthwise convolution along the tokens, then SiLU.
///
/// Computed as a sum over the few positions, fused into few kernels if MLX compiles: on a CPU, MLX's own convolution
/// computes a matrix product per channel.
#[derive(Debug)]
pub struct ShortConv {
    /// (positions, channels) in f32, the oldest first
    taps: Array,
}

impl ShortConv {
    /// `taps` as from [`Self::taps`].
    pub fn new(taps: Array) -> Self {
        Self { taps }
    }

    /// weight: (channels, positions, 1), as MLX's `Conv1d` has it → (positions, channels) in f32
    pub fn taps(weight: &Array) -> Result<Array> {
        let taps = weight.squeeze_axes(&[2])?.swap_axes(0, 1)?;
        Ok(taps.as_dtype(Dtype::Float32)?.contiguous()?)
    }

    /// x: (B, positions - 1 + L, channels) → (B, L, channels), in f32
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let positions = mlx::dim(&self.taps, 0);
        let length = (mlx::dim(x, 1) - positions + 1).max(0);
        if length == 1 {
            let [products] = PRODUCTS.with(|products| products.call(&[x.clone(), self.taps.clone()]))?;
            return silu(&products.sum_axis(1, true)?);
        }
        let shifted = (0..positions).map(|start| mlx::slice_axis(x, 1, start, start + length));
        let mut inputs = shifted.collect::<Result<Vec<Array>>>()?;
        inputs.extend(self.taps.split_equal(positions, 0)?);
        let [y] = CONVOLVE.with(|convolve| convolve.call(&inputs))?;
        Ok(y)
    }
}

/// [x, taps] → their products in f32, of which the sum is the result for a single token.
fn products(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [x, taps] = inputs else { return Ok(Vec::new()) };
    Ok(vec![x.as_dtype(Dtype::Float32)?.multiply(taps)?])
}

/// [shifted inputs…, taps…] → SiLU of their sum of products, in f32.
fn convolve(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let (shifted, taps) = inputs.split_at(inputs.len() / 2);
    let mut sum = None;
    for (x, tap) in shifted.iter().zip(taps) {
        let product = x.as_dtype(Dtype::Float32)?.multiply(tap)?;
        sum = Some(match sum {
            None => product,
            Some(sum) => product.add(sum)?,
        });
    }
    let Some(sum) = sum else { return Ok(Vec::new()) };
    Ok(vec![sum.multiply(sigmoid(&sum)?)?])
}
