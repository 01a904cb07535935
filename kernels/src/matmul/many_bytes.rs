// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! As `many`, with processors that multiply bytes: weights as they are stored, and x as digits.
//!
//! Of a group, the sums of products are integers, and exact. Scales and biases count once for each group.

use super::{
    CodedByteKernel, Rows,
    digits::{DIGITS, split},
    dispatch_coded_bytes,
    panel::{Groups, for_panels, for_units, prefetch_next, put},
};
use crate::{
    Kernels,
    code::ByteCode,
    matrix::Matrix,
    simd::{ByteKernel, ByteSimd, InstructionSet},
};

/// Columns of a panel: a multiple of every group and of a vector of units, and few enough for the innermost cache, beside the
/// digits of a tile.
const DEPTH: usize = 512;
/// Rows of a tile: as many as registers allow, with a sum for each digit.
const TILE_ROWS: usize = 8;

/// Rows of x in tiles of nearly equal size.
pub(super) struct Packed {
    rows: usize,
    /// Rows of each tile but the last, which may have fewer.
    tile_rows: usize,
    /// \[tile]\[group]: the scales of rows, their sums, and digits: \[four columns]\[row]\[digit].
    words: Vec<u32>,
}

/// Whether these kernels have the matrix's encoding, and run on this processor.
pub(super) fn serves(set: InstructionSet, matrix: &Matrix) -> bool {
    struct Nothing;

    impl CodedByteKernel for Nothing {
        type Output = ();

        fn run<S: ByteSimd, C: ByteCode>(self, _: S) {}
    }

    dispatch_coded_bytes(set, matrix.format().encoding, Nothing).is_some()
}

pub(super) fn pack(kernels: &Kernels, x: &[f32], from: &[usize], matrix: &Matrix) -> Packed {
    let (rows, columns) = (from.len(), matrix.columns());
    let tile_rows = rows.div_ceil(rows.div_ceil(TILE_ROWS));
    let tiles = rows.div_ceil(tile_rows);
    let tile_words = matrix.groups() * tile_rows * group_words(matrix.group_size());
    let mut words = vec![0; tiles * tile_words];
    kernels.pool.run_chunks(&mut words, tile_words, rows * columns, |tile, to| {
        let from = &from[tile * tile_rows..((tile + 1) * tile_rows).min(rows)];
        dispatch_coded_bytes(kernels.set, matrix.format().encoding, PackTile { x, from, matrix, tile_rows, to });
    });
    Packed { rows, tile_rows, words }
}

/// Words of a row's group.
#[inline(always)]
fn group_words(size: usize) -> usize {
    2 + DIGITS * size / 4
}

struct PackTile<'a> {
    x: &'a [f32],
    from: &'a [usize],
    matrix: &'a Matrix<'a>,
    tile_rows: usize,
    to: &'a mut [u32],
}

impl CodedByteKernel for PackTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd, C: ByteCode>(self, simd: S) {
        let Self { x, from, matrix, tile_rows, to } = self;
        let (columns, size) = (matrix.columns(), matrix.group_size());
        for (row, &from) in from.iter().enumerate() {
            let groups = x[from * columns..(from + 1) * columns].chunks_exact(size);
            for (x, to) in groups.zip(to.chunks_exact_mut(group_words(size) * tile_rows)) {
                let (floats, words) = to.split_at_mut(2 * tile_rows);
                let mut places = words.chunks_exact_mut(DIGITS * tile_rows);
                let group = split::<S, C>(simd, x, |_, digits| {
                    if let Some(place) = places.next() {
                        place[DIGITS * row..DIGITS * (row + 1)].copy_from_slice(&digits);
                    }
                });
                floats[row] = group.scale.to_bits();
                floats[tile_rows + row] = group.sum.to_bits();
            }
        }
    }
}

/// The products of some rows of the matrix with all rows of x.
pub(super) struct Multiply<'a> {
    pub x: &'a Packed,
    pub product: &'a Rows<'a>,
}

impl CodedByteKernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd, C: ByteCode>(self, simd: S) {
        let Self { x, product } = self;
        // \[vector of rows]\[four columns]\[row]: four bytes each, in the place of a float.
        let mut panel = vec![0.0; DEPTH.min(product.matrix.columns()) / 4 * 2 * S::LANES];
        for_panels(simd, product, DEPTH, |groups, rows, columns| {
            let [column, depth] = columns;
            let size = depth / 4 * S::LANES;
            for_units::<S, C>(simd, product, rows, columns, |half, at, units| {
                let to = &mut panel[half * size + at / 4 * S::LANES..][..C::VALUES / 4 * S::LANES];
                for (step, to) in to.chunks_exact_mut(S::LANES).enumerate() {
                    simd.store(simd.float_of_bits(C::bytes(simd, units, step)), to);
                }
            });
            // While this panel is multiplied.
            prefetch_next::<S, C>(simd, product, rows, columns);
            multiply_tiles(simd, x, &panel[..2 * size], groups, product, rows, column);
        });
    }
}

/// Multiplies all tiles of x with a panel, adding to y except at the first column.
#[inline(always)]
fn multiply_tiles<S: ByteSimd>(
    simd: S,
    x: &Packed,
    panel: &[f32],
    groups: &Groups,
    product: &Rows<'_>,
    [row, count]: [usize; 2],
    column: usize,
) {
    let size = product.matrix.group_size();
    let (first_group, panel_groups) = (column / size, panel.len() / (2 * S::LANES) * 4 / size);
    for tile in 0..x.rows.div_ceil(x.tile_rows) {
        let first = tile * x.tile_rows;
        let rows = x.tile_rows.min(x.rows - first);
        let words = group_words(size) * x.tile_rows;
        let start = tile * product.matrix.groups() + first_group;
        let words = &x.words[start * words..(start + panel_groups) * words];
        for half in 0..count.div_ceil(S::LANES) {
            let start = half * S::LANES;
            let tile = Tile {
                panel: &panel[half * panel.len() / 2..(half + 1) * panel.len() / 2],
                scales: &groups.scales[first_group * 2 * S::LANES + start..],
                biases: &groups.biases[first_group * 2 * S::LANES + start..],
                words,
                stride: x.tile_rows,
                product,
                first,
                columns: [row + start, (count - start).min(S::LANES)],
                adds: column > 0,
            };
            macro_rules! rows {
                ($($rows:literal)*) => {
                    match rows {
                        $($rows => simd.call_bytes(Micro::<$rows>(tile)),)*
                        _ => unreachable!("tiles have at most {TILE_ROWS} rows"),
                    }
                };
            }
            rows!(1 2 3 4 5 6 7 8);
        }
    }
}

/// A tile of x times a vector of a panel's rows.
#[derive(Clone, Copy)]
struct Tile<'a> {
    /// \[four columns]\[row]
    panel: &'a [f32],
    /// \[group]\[row], of two vectors of rows
    scales: &'a [f32],
    biases: &'a [f32],
    /// \[group], as in [`Packed`]
    words: &'a [u32],
    /// Rows for which words have places.
    stride: usize,
    product: &'a Rows<'a>,
    /// The first row, of those of the product.
    first: usize,
    /// The first column of y, and how many.
    columns: [usize; 2],
    adds: bool,
}

struct Micro<'a, const ROWS: usize>(Tile<'a>);

impl<const ROWS: usize> ByteKernel for Micro<'_, ROWS> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(self, simd: S) {
        let Tile { panel, scales, biases, words, stride, product, first, columns: [column, count], adds } = self.0;
        assert!(ROWS <= stride);
        let size = product.matrix.group_size();
        let groups = panel.chunks_exact(size / 4 * S::LANES).zip(words.chunks_exact(group_words(size) * stride));
        let groups = groups.zip(scales.chunks(2 * S::LANES).zip(biases.chunks(2 * S::LANES)));
        let mut totals = [simd.splat(0.0); ROWS];
        for ((panel, words), (scale, bias)) in groups {
            let (x_scales, words) = words.split_at(stride);
            let (x_sums, words) = words.split_at(stride);
            let mut sums = [[simd.splat_bits(0); DIGITS]; ROWS];
            for (weights, x) in panel.chunks_exact(S::LANES).zip(words.chunks_exact(DIGITS * stride)) {
                let weights = simd.bits_of(simd.load(weights));
                for (sums, x) in sums.iter_mut().zip(x[..DIGITS * ROWS].as_chunks::<DIGITS>().0) {
                    for (sum, &x) in sums.iter_mut().zip(x) {
                        *sum = simd.dot_bytes(weights, simd.splat_bits(x), *sum);
                    }
                }
            }
            let (scale, bias) = (simd.load(scale), simd.load(bias));
            for (row, (total, [high, middle, low])) in totals.iter_mut().zip(sums).enumerate() {
                // Of up to 128 products below 2^15, both fit in 31 bits.
                let lower = simd.to_float(simd.add_bits(simd.shl(middle, 8), low));
                let product = simd.mul_add(simd.to_float(high), simd.splat(65536.0), lower);
                let scale = simd.mul(scale, simd.splat(f32::from_bits(x_scales[row])));
                *total = simd.mul_add(product, scale, *total);
                *total = simd.mul_add(bias, simd.splat(f32::from_bits(x_sums[row])), *total);
            }
        }
        for (row, total) in totals.into_iter().enumerate() {
            // SAFETY: nothing else of this row is in use.
            let y = unsafe { product.output(first + row, column..column + count) };
            put(simd, total, y, adds);
        }
    }
}
