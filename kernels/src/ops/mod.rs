// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What a transformer's step consists of besides products, each in one pass.

mod activation;
mod attention;
mod logsumexp;
mod math;
mod norm;
mod rope;

pub use activation::Activation;
pub use attention::{Attention, Mask};
pub use rope::Rotation;

use std::ops::Range;

use crate::Kernels;

/// Numbers that are worth waking a thread for.
const SHARE: usize = 32 * 1024;

impl Kernels {
    /// Runs `task` with ranges of `0..rows`, on all threads if there is enough to do.
    fn share_rows(&self, rows: usize, row_size: usize, task: impl Fn(Range<usize>) + Sync) {
        let parts = (rows * row_size / SHARE).clamp(1, 4 * self.threads()).min(rows.max(1));
        self.pool.run(parts, |part| task(rows * part / parts..rows * (part + 1) / parts));
    }
}
