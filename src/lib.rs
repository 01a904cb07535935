// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! mlx-lm's language models on MLX, for Node.js. The parts and who may call whom: CONTRIBUTING.md.

// napi registers nothing in unit tests, so all of it would be dead code there.
pub mod attention;
#[cfg(not(any(test, fuzzing)))]
mod binding;
#[cfg(fuzzing)]
pub mod binding;
pub mod cache;
pub mod engine;
pub mod error;
mod files;
pub mod generate;
pub mod mlx;
pub mod models;
pub mod nn;
mod panics;
pub mod sample_utils;
pub mod tokenizer;
pub mod weights;
