// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The Node addon: converts arguments, sends commands to the engine, converts events back. Nothing else names `napi`.
//! lib/ makes the public API of it; these names are internal.

mod errors;
mod file_lock;
mod generation;
mod info;
mod model;
mod process;
mod slot;
