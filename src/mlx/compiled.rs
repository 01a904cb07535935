// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Functions of several arrays that MLX fuses into few kernels.

use std::cell::RefCell;

use mlx_rs::{Array, error::Exception, transforms::compile::compile};

use super::exactly;
use crate::error::Result;

type Answer = Result<Vec<Array>, Exception>;
type Function = Box<dyn FnMut(&[Array]) -> Answer>;

/// A compiled function. It belongs to the thread that makes it, so keep it in a `thread_local!`.
pub struct Compiled(RefCell<Function>);

impl Compiled {
    /// With `shapeless` other shapes do not compile it again; its operations must allow that.
    pub fn new(plain: fn(&[Array]) -> Answer, shapeless: bool) -> Self {
        Self(RefCell::new(Box::new(compile(plain, shapeless))))
    }

    pub fn call<const N: usize>(&self, inputs: &[Array]) -> Result<[Array; N]> {
        exactly((self.0.borrow_mut())(inputs)?)
    }
}
