// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! mlx-lm's language models on MLX, for Node.js. The parts and who may call whom: CONTRIBUTING.md.

pub mod attention;
#[cfg_attr(test, allow(dead_code, reason = "napi registers no exports in unit tests"))]
mod binding;
pub mod cache;
pub mod engine;
pub mod error;
mod files;
pub mod generate;
pub mod grammar;
pub mod limits;
pub mod mlx;
pub mod models;
pub mod nn;
pub mod options;
pub mod panics;
pub mod sample_utils;
pub mod session;
pub mod tokenizer;
pub mod watch;
pub mod weights;
