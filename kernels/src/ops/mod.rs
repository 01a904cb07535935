// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What a transformer's step consists of besides products, each in one pass.

mod activation;
mod allow;
mod attention;
mod draw;
mod keep;
mod logsumexp;
mod math;
mod norm;
mod rope;

pub use activation::Activation;
pub use attention::{Attention, Mask};
pub use keep::Keep;
pub use norm::RmsNorm;
pub use rope::Rotation;

use crate::{Kernels, pool::SHARE};

impl Kernels {
    /// Calls `task` with each row of y, of `width` numbers, and its index: on all threads if there is enough to do. `cost`:
    /// of a number, in multiplications.
    fn for_each_row(&self, y: &mut [f32], width: usize, cost: usize, task: impl Fn(usize, &mut [f32]) + Sync) {
        let rows = y.len() / width.max(1);
        let cost = y.len() * cost;
        let parts = (cost / SHARE).clamp(1, 4 * self.threads());
        let part_rows = rows.div_ceil(parts);
        self.pool.run_chunks(y, part_rows * width, cost, |part, y| {
            for (row, y) in y.chunks_exact_mut(width).enumerate() {
                task(part * part_rows + row, y);
            }
        });
    }
}
