// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Panels: rows of a matrix, two vectors of them, whose weights are brought into the cache column by column.

use super::{CACHE_LINE, Rows};
use crate::{
    code::{Code, Units, load_units},
    matrix::Matrix,
    simd::Simd,
};

/// Lanes of a vector, of all instruction sets.
pub(super) const MAX_LANES: usize = 16;

/// Scales and biases of a panel's rows: \[group]\[row].
pub(super) struct Groups {
    /// 1 without groups.
    pub scales: Vec<f32>,
    /// 0 without biases.
    pub biases: Vec<f32>,
    /// Those of a row.
    line: Vec<f32>,
}

impl Groups {
    #[inline(always)]
    fn new<S: Simd>(matrix: &Matrix) -> Self {
        let (rows, groups) = (2 * S::LANES, matrix.groups().max(1));
        Self { scales: vec![1.0; groups * rows], biases: vec![0.0; groups * rows], line: vec![0.0; groups] }
    }

    #[inline(always)]
    fn read<S: Simd>(&mut self, simd: S, product: &Rows<'_>, row: usize, count: usize) {
        let matrix = product.matrix;
        if matrix.groups() == 0 {
            return;
        }
        for i in 0..count {
            let row = product.first_row + row + i;
            matrix.read_scales(simd, row..row + 1, &mut self.line);
            for (to, &scale) in self.scales.chunks_exact_mut(2 * S::LANES).zip(&self.line) {
                to[i] = scale;
            }
            if matrix.is_biased() {
                matrix.read_biases(simd, row..row + 1, &mut self.line);
                for (to, &bias) in self.biases.chunks_exact_mut(2 * S::LANES).zip(&self.line) {
                    to[i] = bias;
                }
            }
        }
    }
}

/// Calls `multiply` with the groups, rows (the first, and how many) and columns of each panel, which has `depth` columns.
#[inline(always)]
pub(super) fn for_panels<S: Simd>(
    simd: S,
    product: &Rows<'_>,
    depth: usize,
    mut multiply: impl FnMut(&Groups, [usize; 2], [usize; 2]),
) {
    let columns = product.matrix.columns();
    let mut groups = Groups::new::<S>(product.matrix);
    for row in product.rows.clone().step_by(2 * S::LANES) {
        let count = (product.rows.end - row).min(2 * S::LANES);
        groups.read(simd, product, row, count);
        for column in (0..columns).step_by(depth) {
            multiply(&groups, [row, count], [column, depth.min(columns - column)]);
        }
    }
}

/// Writes a vector to y, or adds it, as far as y goes.
#[inline(always)]
pub(super) fn put<S: Simd>(simd: S, x: S::F, y: &mut [f32], adds: bool) {
    if y.len() >= S::LANES {
        simd.store(if adds { simd.add(simd.load(y), x) } else { x }, y);
        return;
    }
    let mut line = [0.0; MAX_LANES];
    simd.store(x, &mut line);
    for (y, x) in y.iter_mut().zip(line) {
        *y = if adds { *y + x } else { x };
    }
}

/// Hands over the units of `depth` columns from `column` on, of `count` rows from `row` on: those of a vector of rows, a row
/// a lane, with the index of this vector, and that of the first weight among these columns.
#[inline(always)]
pub(super) fn for_units<S: Simd, C: Code>(
    simd: S,
    product: &Rows<'_>,
    [row, count]: [usize; 2],
    [column, depth]: [usize; 2],
    mut take: impl FnMut(usize, usize, Units<S>),
) {
    let none = simd.splat_bits(0);
    let row_bytes = bytes_of::<C>(product.matrix.columns());
    for half in 0..2 {
        let start = half * S::LANES;
        let rows = count.saturating_sub(start).min(S::LANES);
        let first_row = product.first_row + row + start.min(count);
        let weights = product.matrix.rows_in(first_row..first_row + rows);
        for first in (0..depth / C::VALUES).step_by(S::LANES) {
            let (mut low, mut high) = ([none; MAX_LANES], [none; MAX_LANES]);
            let byte = bytes_of::<C>(column) + first * C::BYTES;
            for i in 0..rows {
                let units = &weights[i * row_bytes + byte..(i + 1) * row_bytes];
                Units { low: low[i], high: high[i] } = load_units::<S, C>(simd, units);
            }
            simd.transpose(&mut low[..S::LANES]);
            if C::BYTES == 5 {
                simd.transpose(&mut high[..S::LANES]);
            }
            for unit in 0..S::LANES.min(depth / C::VALUES - first) {
                take(half, (first + unit) * C::VALUES, Units { low: low[unit], high: high[unit] });
            }
        }
    }
}

/// Bytes of so many weights of a row.
#[inline(always)]
fn bytes_of<C: Code>(columns: usize) -> usize {
    columns / C::VALUES * C::BYTES
}

/// Asks for the weights of the panel behind this one. Behind the last of its rows, it is the first of the next rows.
#[inline(always)]
pub(super) fn prefetch_next<S: Simd, C: Code>(
    simd: S,
    product: &Rows<'_>,
    [row, count]: [usize; 2],
    [column, depth]: [usize; 2],
) {
    let matrix = product.matrix;
    let columns = matrix.columns();
    let (row, column) = if column + depth < columns { (row, column + depth) } else { (row + count, 0) };
    let row_bytes = bytes_of::<C>(columns);
    let bytes = bytes_of::<C>(depth.min(columns - column));
    // It may lie behind the last row: nothing is read there.
    let first = matrix.rows_in(0..0).as_ptr();
    for row in product.first_row + row..product.first_row + row + 2 * S::LANES {
        let start = row * row_bytes + bytes_of::<C>(column);
        for byte in (0..bytes).step_by(CACHE_LINE) {
            simd.prefetch(first.wrapping_add(start + byte));
        }
    }
}
