// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! More than [`Simd::FEW_ROWS`] rows: a panel of weights is decoded into the cache, column by column, and multiplied with
//! tiles of x, whose rows are packed column by column too. Rows that lie a power of two apart would evict each other.

use super::{CACHE_LINE, CodedKernel, Rows};
use crate::{
    Kernels,
    code::{Code, Units, load_units},
    matrix::Matrix,
    simd::{Kernel, Simd},
};

/// Columns of a panel: a multiple of every group and of a vector of units, and few enough for the innermost cache.
const DEPTH: usize = 256;
/// Of all instruction sets: the lanes of a vector, and rows of a tile.
const MAX_LANES: usize = 16;
const MAX_TILE_ROWS: usize = 12;

/// Rows of x in tiles of nearly equal size: \[tile]\[column]\[row in the tile].
pub(super) struct Packed {
    rows: usize,
    /// Rows of each tile but the last, which may have fewer.
    tile_rows: usize,
    values: Vec<f32>,
}

/// `most`: [`Simd::TILE_ROWS`].
pub(super) fn pack(kernels: &Kernels, x: &[f32], from: &[usize], matrix: &Matrix, most: usize) -> Packed {
    let (rows, columns) = (from.len(), matrix.columns());
    let tile_rows = rows.div_ceil(rows.div_ceil(most));
    let tiles = rows.div_ceil(tile_rows);
    let mut values = vec![0.0; tiles * columns * tile_rows];
    let cost = values.len();
    kernels.pool.run_chunks(&mut values, columns * tile_rows, cost, |tile, to| {
        for (row, &from) in from.iter().skip(tile * tile_rows).take(tile_rows).enumerate() {
            let x = &x[from * columns..(from + 1) * columns];
            for (&x, to) in x.iter().zip(to.chunks_exact_mut(tile_rows)) {
                to[row] = x;
            }
        }
    });
    Packed { rows, tile_rows, values }
}

/// The products of some rows of the matrix with all rows of x.
pub(super) struct Multiply<'a> {
    pub x: &'a Packed,
    pub product: &'a Rows<'a>,
}

impl CodedKernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, C: Code>(self, simd: S) {
        let Self { x, product } = self;
        let mut panel = Panel::new::<S>(product.matrix);
        for row in product.rows.clone().step_by(2 * S::LANES) {
            let count = (product.rows.end - row).min(2 * S::LANES);
            panel.read_groups(simd, product, row, count);
            for column in (0..product.matrix.columns()).step_by(DEPTH) {
                let depth = DEPTH.min(product.matrix.columns() - column);
                panel.decode::<S, C>(simd, product, [row, count], [column, depth]);
                // While this panel is multiplied. Of the last one, it is the first of the next rows.
                let next =
                    if column + DEPTH < product.matrix.columns() { (row, column + DEPTH) } else { (row + count, 0) };
                prefetch::<S, C>(simd, product, next);
                multiply_tiles(simd, x, &panel.values[..depth * 2 * S::LANES], product, [row, count], column);
            }
        }
    }
}

/// Weights of two vectors of rows.
struct Panel {
    /// \[column]\[row]
    values: Vec<f32>,
    /// \[group]\[row]; without groups, a scale of 1 and a bias of 0
    scales: Vec<f32>,
    biases: Vec<f32>,
    /// Those of a row.
    line: Vec<f32>,
}

impl Panel {
    #[inline(always)]
    fn new<S: Simd>(matrix: &Matrix) -> Self {
        let rows = 2 * S::LANES;
        let groups = matrix.groups().max(1);
        Self {
            values: vec![0.0; DEPTH.min(matrix.columns()) * rows],
            scales: vec![1.0; groups * rows],
            biases: vec![0.0; groups * rows],
            line: vec![0.0; groups],
        }
    }

    #[inline(always)]
    fn read_groups<S: Simd>(&mut self, simd: S, product: &Rows<'_>, row: usize, count: usize) {
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

    /// Decodes `depth` columns from `column` on, of `count` rows from `row` on.
    #[inline(always)]
    fn decode<S: Simd, C: Code>(
        &mut self,
        simd: S,
        product: &Rows<'_>,
        [row, count]: [usize; 2],
        [column, depth]: [usize; 2],
    ) {
        let (matrix, shift) = (product.matrix, product.matrix.group_shift());
        let none = simd.splat_bits(0);
        let row_bytes = bytes_of::<C>(matrix.columns());
        for half in 0..2 {
            let start = half * S::LANES;
            let rows = count.saturating_sub(start).min(S::LANES);
            let first_row = product.first_row + row + start.min(count);
            let weights = matrix.rows_in(first_row..first_row + rows);
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
                    let units = Units { low: low[unit], high: high[unit] };
                    let at = (first + unit) * C::VALUES;
                    let place = ((column + at) >> shift) * 2 * S::LANES + start;
                    let (scales, biases) = (simd.load(&self.scales[place..]), simd.load(&self.biases[place..]));
                    let to = &mut self.values[at * 2 * S::LANES..(at + C::VALUES) * 2 * S::LANES];
                    for value in 0..C::VALUES {
                        let weights = simd.mul_add(C::value(simd, units, value), scales, biases);
                        simd.store(weights, &mut to[value * 2 * S::LANES + start..]);
                    }
                }
            }
        }
    }
}

/// Bytes of so many weights of a row.
#[inline(always)]
fn bytes_of<C: Code>(columns: usize) -> usize {
    columns / C::VALUES * C::BYTES
}

/// Asks for the weights of the panel that begins at this row and column.
#[inline(always)]
fn prefetch<S: Simd, C: Code>(simd: S, product: &Rows<'_>, (row, column): (usize, usize)) {
    let matrix = product.matrix;
    let row_bytes = bytes_of::<C>(matrix.columns());
    let bytes = bytes_of::<C>(DEPTH.min(matrix.columns() - column));
    // It may lie behind the last row: nothing is read there.
    let first = matrix.rows_in(0..0).as_ptr();
    for row in product.first_row + row..product.first_row + row + 2 * S::LANES {
        let start = row * row_bytes + bytes_of::<C>(column);
        for byte in (0..bytes).step_by(CACHE_LINE) {
            simd.prefetch(first.wrapping_add(start + byte));
        }
    }
}

/// Multiplies all tiles of x with a panel, adding to y except at the first column.
#[inline(always)]
fn multiply_tiles<S: Simd>(
    simd: S,
    x: &Packed,
    panel: &[f32],
    product: &Rows<'_>,
    [row, count]: [usize; 2],
    column: usize,
) {
    let columns = product.matrix.columns();
    let depth = panel.len() / (2 * S::LANES);
    for tile in 0..x.rows.div_ceil(x.tile_rows) {
        let first = tile * x.tile_rows;
        let start = (tile * columns + column) * x.tile_rows;
        let values = &x.values[start..start + depth * x.tile_rows];
        let tile = Tile { panel, values, product, first, columns: [row, count], adds: column > 0, stride: x.tile_rows };
        macro_rules! rows {
            ($($rows:literal)*) => {
                match x.tile_rows.min(x.rows - first) {
                    $($rows => simd.call(Micro::<$rows>(tile)),)*
                    _ => unreachable!("tiles have at most {MAX_TILE_ROWS} rows"),
                }
            };
        }
        rows!(1 2 3 4 5 6 7 8 9 10 11 12);
    }
}

/// A tile of x times a panel.
#[derive(Clone, Copy)]
struct Tile<'a> {
    panel: &'a [f32],
    /// \[column]\[row]
    values: &'a [f32],
    /// From one column to the next.
    stride: usize,
    product: &'a Rows<'a>,
    /// The first row, of those of the product.
    first: usize,
    /// The first column of y, and how many.
    columns: [usize; 2],
    adds: bool,
}

struct Micro<'a, const ROWS: usize>(Tile<'a>);

impl<const ROWS: usize> Kernel for Micro<'_, ROWS> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Tile { panel, values, stride, product, first, columns: [column, count], adds } = self.0;
        assert!(ROWS <= stride);
        let mut sums = [[simd.splat(0.0); 2]; ROWS];
        for (weights, x) in panel.chunks_exact(2 * S::LANES).zip(values.chunks_exact(stride)) {
            let low = simd.load(weights);
            let high = simd.load(&weights[S::LANES..]);
            for (sums, &x) in sums.iter_mut().zip(x) {
                let x = simd.splat(x);
                sums[0] = simd.mul_add(x, low, sums[0]);
                sums[1] = simd.mul_add(x, high, sums[1]);
            }
        }
        for (row, [low, high]) in sums.into_iter().enumerate() {
            // SAFETY: nothing else of this row is in use.
            let y = unsafe { product.output(first + row, column..column + count) };
            if count == 2 * S::LANES {
                let (to_low, to_high) = y.split_at_mut(S::LANES);
                simd.store(if adds { simd.add(simd.load(to_low), low) } else { low }, to_low);
                simd.store(if adds { simd.add(simd.load(to_high), high) } else { high }, to_high);
                continue;
            }
            let mut line = [0.0; 2 * MAX_LANES];
            simd.store(low, &mut line);
            simd.store(high, &mut line[S::LANES..]);
            for (y, sum) in y.iter_mut().zip(line) {
                *y = if adds { *y + sum } else { sum };
            }
        }
    }
}
