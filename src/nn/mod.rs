// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The layers that models are built of. Each holds evaluated arrays and is cheap to call.

pub mod activations;
mod adapter;
mod conv;
mod embedding;
mod linear;
mod matrix;
mod norm;
pub mod rope;
pub mod switch_layers;

pub use adapter::Adapter;
pub use conv::ShortConv;
pub use embedding::{Embedding, LmHead};
pub use linear::{FusedLinear, Linear};
pub use matrix::{Join, Matrix};
pub use norm::{LayerNorm, Norm, RmsNorm, Rows};
pub use rope::{Rope, TextLength};
pub use switch_layers::{SwitchGlu, SwitchLinear};

pub use crate::mlx::Activation;
