// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The layers that models are built of. Each holds evaluated arrays and is cheap to call.

mod activations;
mod embedding;
mod linear;
mod norm;
pub mod rope;

pub use activations::swiglu;
pub use embedding::Embedding;
pub use linear::{FusedLinear, Linear, Matrix};
pub use norm::RmsNorm;
pub use rope::Rope;
