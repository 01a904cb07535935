// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The Node addon: converts arguments, calls the session, converts results. Nothing else names `napi`. These names are
//! internal; lib/ is the public API.

mod errors;
mod file_lock;
mod generation;
mod info;
mod model;
mod process;
mod reading;
mod slot;
