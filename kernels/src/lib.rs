// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The operations of a transformer's step on a CPU: products with matrices in MLX's formats, in f32 arithmetic.
//!
//! Each kernel is written once, over the vectors of [`simd::Simd`], and compiled for each instruction set.

// Products of bytes are for x86-64 alone.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, unused_variables))]

mod code;
mod cores;
mod matmul;
mod matrix;
mod ops;
mod pool;
mod simd;
mod tensor;

pub use cores::available_cores;
pub use matrix::{Encoding, Floats, Format, Groups, Matrix};
pub use ops::{Activation, Attention, Keep, Mask, RmsNorm, Rotation};
pub use simd::InstructionSet;
pub use tensor::Tensor;

use pool::Pool;

/// The kernels, compiled for an instruction set, and the threads that run them. These end when it is dropped.
#[derive(Debug)]
pub struct Kernels {
    set: InstructionSet,
    pool: Pool,
}

impl Kernels {
    /// `threads`: at least 1, the calling one included. Where the processor lacks `set`, kernels use what every processor has.
    pub fn new(set: InstructionSet, threads: usize) -> Self {
        Self { set, pool: Pool::new(threads) }
    }

    pub fn instruction_set(&self) -> InstructionSet {
        self.set
    }

    /// The number of threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }
}
