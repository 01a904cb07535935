// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Raw bindings to mlx-c 0.7.0, a stand-in for the published `mlx-sys` 0.7.0. See build.rs.

#![allow(non_upper_case_globals, non_camel_case_types, non_snake_case, clippy::all)]

include!("bindings.rs");

mod allocator;
mod blas;
mod cuda;
mod graph;
mod half;
mod kernel;
mod operation;
pub use allocator::*;
pub use blas::*;
pub use cuda::*;
pub use graph::*;
pub use half::*;
pub use kernel::*;
pub use operation::*;

#[cfg(not(target_vendor = "apple"))]
mod platform;
