// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! More than [`Simd::FEW_ROWS`] rows: a panel of weights is decoded into the cache, column by column, and multiplied with
//! tiles of x, whose rows are packed column by column too. Rows that lie a power of two apart would evict each other.

use super::{
    CodedKernel, Rows,
    panel::{Groups, for_panels, for_units, prefetch_next, put},
};
use crate::{
    Kernels,
    code::Code,
    matrix::Matrix,
    simd::{Kernel, Simd},
};

/// Columns of a panel: a multiple of every group and of a vector of units, and few enough for the innermost cache.
const DEPTH: usize = 256;
/// Rows of a tile, of all instruction sets.
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
        let mut panel = vec![0.0; DEPTH.min(product.matrix.columns()) * 2 * S::LANES];
        for_panels(simd, product, DEPTH, |groups, rows, columns| {
            decode::<S, C>(simd, product, groups, rows, columns, &mut panel);
            // While this panel is multiplied.
            prefetch_next::<S, C>(simd, product, rows, columns);
            let [column, depth] = columns;
            multiply_tiles(simd, x, &panel[..depth * 2 * S::LANES], product, rows, column);
        });
    }
}

/// Decodes `depth` columns from `column` on, of `count` rows from `row` on: \[column]\[row].
#[inline(always)]
fn decode<S: Simd, C: Code>(
    simd: S,
    product: &Rows<'_>,
    groups: &Groups,
    rows: [usize; 2],
    [column, depth]: [usize; 2],
    panel: &mut [f32],
) {
    let shift = product.matrix.group_shift();
    for_units::<S, C>(simd, product, rows, [column, depth], |half, at, units| {
        let start = half * S::LANES;
        let place = ((column + at) >> shift) * 2 * S::LANES + start;
        let (scales, biases) = (simd.load(&groups.scales[place..]), simd.load(&groups.biases[place..]));
        let to = &mut panel[at * 2 * S::LANES..(at + C::VALUES) * 2 * S::LANES];
        for value in 0..C::VALUES {
            let weights = simd.mul_add(C::value(simd, units, value), scales, biases);
            simd.store(weights, &mut to[value * 2 * S::LANES + start..]);
        }
    });
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
            let (to_low, to_high) = y.split_at_mut(count.min(S::LANES));
            put(simd, low, to_low, adds);
            put(simd, high, to_high, adds);
        }
    }
}
