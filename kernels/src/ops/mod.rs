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

use crate::Kernels;

/// Numbers that are worth waking a thread for.
const SHARE: usize = 32 * 1024;

impl Kernels {
    /// Calls `task` with each row of y, of `width` numbers, and its index: on all threads if there is enough to do. `cost`:
    /// that of a number.
    fn for_each_row(&self, y: &mut [f32], width: usize, cost: usize, task: impl Fn(usize, &mut [f32]) + Sync) {
        let rows = y.len() / width.max(1);
        let parts = (y.len() * cost / SHARE).clamp(1, 4 * self.threads());
        let part_rows = rows.div_ceil(parts);
        self.pool.run_chunks(y, part_rows * width, |part, y| {
            for (row, y) in y.chunks_exact_mut(width).enumerate() {
                task(part * part_rows + row, y);
            }
        });
    }
}
