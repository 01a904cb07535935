// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The short convolutions of recurrent layers.

use mlx_rs::{Array, Dtype, error::Exception, ops::sigmoid};

use crate::{
    error::Result,
    mlx::{self, Compiled},
};

thread_local! { static CONVOLVE: Compiled = Compiled::new(convolve, true); }

/// A depthwise convolution along the tokens, then SiLU.
///
/// Computed as a sum over the few positions, fused into one kernel if MLX compiles: on a CPU, MLX's own convolution
/// computes a matrix product per channel.
#[derive(Debug, Default)]
pub struct ShortConv {
    /// (channels,) for each position, the oldest first
    taps: Vec<Array>,
}

impl ShortConv {
    /// weight: (channels, positions, 1), as MLX's `Conv1d` has it.
    pub fn new(weight: &Array) -> Result<Self> {
        let taps = weight.split_equal(mlx::dim(weight, 1), 1)?;
        Ok(Self { taps: taps.iter().map(|tap| tap.flatten(None, None)?.contiguous()).collect::<Result<_, _>>()? })
    }

    /// x: (B, positions - 1 + L, channels) → (B, L, channels)
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let length = (mlx::dim(x, 1) - self.taps.len() as i32 + 1).max(0);
        let shifted = (0..).map(|start| mlx::slice_axis(x, 1, start, start + length)).take(self.taps.len());
        let inputs = shifted.chain(self.taps.iter().cloned().map(Ok)).collect::<Result<Vec<Array>>>()?;
        let [y] = CONVOLVE.with(|convolve| convolve.call(&inputs))?;
        Ok(y)
    }

    pub fn dtype(&self) -> Dtype {
        self.taps.first().map_or(Dtype::Float32, Array::dtype)
    }

    /// The arrays that the layer consists of.
    pub fn arrays(&self) -> Vec<Array> {
        self.taps.clone()
    }
}

/// [shifted inputs…, taps…] → their sum of products, in f32.
fn convolve(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let (shifted, taps) = inputs.split_at(inputs.len() / 2);
    let wide = |array: &Array| array.as_dtype(Dtype::Float32);
    let mut sum = None;
    for (x, tap) in shifted.iter().zip(taps) {
        let product = wide(x)?.multiply(wide(tap)?)?;
        sum = Some(match sum {
            None => product,
            Some(sum) => product.add(sum)?,
        });
    }
    let (Some(first), Some(sum)) = (shifted.first(), sum) else { return Ok(Vec::new()) };
    Ok(vec![sum.multiply(sigmoid(&sum)?)?.as_dtype(first.dtype())?])
}
