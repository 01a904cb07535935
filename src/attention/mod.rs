// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/base.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Attention over keys and values in whatever form a cache holds them, and the masks that it takes.

mod mask;
mod sdpa;

use mlx_rs::{Array, Dtype};

use crate::{error::Result, mlx::QuantizedArray};

pub use mask::{Mask, create_causal_mask, mask_of_all};
pub use sdpa::{lowest, scaled_dot_product_attention};

/// Keys and values of (B, KV heads, S, D), as a cache holds them.
#[derive(Debug, Clone)]
pub enum KeysValues {
    Dense { keys: Array, values: Array },
    Quantized { keys: QuantizedArray, values: QuantizedArray },
}

impl KeysValues {
    /// Both as plain arrays, for attention that is more than softmax(QK)V.
    pub fn dense(self, dtype: Dtype) -> Result<(Array, Array)> {
        match self {
            Self::Dense { keys, values } => Ok((keys, values)),
            Self::Quantized { keys, values } => Ok((keys.dequantize(Some(dtype))?, values.dequantize(Some(dtype))?)),
        }
    }
}
