// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Up to [`super::FEW`] rows: each vector of weights is decoded in registers and multiplied with all of them.

use super::{CodedKernel, FEW, Rows, dispatch_coded};
use crate::{
    matrix::{Code, Matrix, Units, load_units},
    simd::{InstructionSet, Simd},
};

/// Rows of the matrix that are multiplied at a time with a single row of x, and with more of them.
const TILE_OF_ONE: usize = 4;
const TILE: usize = 2;

/// A few rows of x, in the order in which weights are decoded.
pub(super) struct Packed {
    rows: usize,
    /// \[block]\[row]\[index in a unit]\[lane], divided by what weights are decoded times.
    values: Vec<f32>,
    /// \[row]\[group]: sums, which are multiplied with biases. Empty if there are none.
    sums: Vec<f32>,
    /// From one row's sums to the next.
    stride: usize,
}

pub(super) fn pack(set: InstructionSet, x: &[f32], from: &[usize], matrix: &Matrix) -> Packed {
    dispatch_coded(set, matrix.format().encoding, Pack { x, from, matrix })
}

struct Pack<'a> {
    x: &'a [f32],
    from: &'a [usize],
    matrix: &'a Matrix<'a>,
}

impl CodedKernel for Pack<'_> {
    type Output = Packed;

    #[inline(always)]
    fn run<S: Simd, C: Code>(self, _: S) -> Packed {
        pack_rows::<S, C>(self.x, self.from, self.matrix)
    }
}

#[inline(always)]
fn pack_rows<S: Simd, C: Code>(x: &[f32], from: &[usize], matrix: &Matrix) -> Packed {
    let columns = matrix.columns();
    let (rows, block) = (from.len(), S::LANES * C::VALUES);
    let mut values = vec![0.0; rows * columns.next_multiple_of(block)];
    let stride = if matrix.is_biased() { matrix.groups().next_multiple_of(S::LANES) } else { 0 };
    let mut sums = vec![0.0; rows * stride];
    let factors: [f32; 16] = std::array::from_fn(|index| 1.0 / (1u32 << C::shift(index % C::VALUES)) as f32);
    for (row, &from) in from.iter().enumerate() {
        let x = &x[from * columns..(from + 1) * columns];
        for (part, to) in x.chunks(block).zip(values.chunks_exact_mut(block).skip(row).step_by(rows)) {
            for (lane, unit) in part.chunks_exact(C::VALUES).enumerate() {
                for (index, (&x, factor)) in unit.iter().zip(factors).enumerate() {
                    to[index * S::LANES + lane] = x * factor;
                }
            }
        }
        if stride > 0 {
            let sums = &mut sums[row * stride..(row + 1) * stride];
            for (sum, group) in sums.iter_mut().zip(x.chunks_exact(matrix.group_size())) {
                *sum = group.iter().sum();
            }
        }
    }
    Packed { rows, values, sums, stride }
}

/// The products of some rows of the matrix with all rows of x.
pub(super) fn multiply(set: InstructionSet, x: &Packed, product: &Rows<'_>) {
    let encoding = product.matrix.format().encoding;
    match x.rows {
        1 => dispatch_coded(set, encoding, Multiply::<1> { x, product }),
        2 => dispatch_coded(set, encoding, Multiply::<2> { x, product }),
        3 => dispatch_coded(set, encoding, Multiply::<3> { x, product }),
        _ => dispatch_coded(set, encoding, Multiply::<FEW> { x, product }),
    }
}

struct Multiply<'a, const ROWS: usize> {
    x: &'a Packed,
    product: &'a Rows<'a>,
}

impl<const ROWS: usize> CodedKernel for Multiply<'_, ROWS> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, C: Code>(self, simd: S) {
        let Self { x, product } = self;
        let tile = if ROWS == 1 { TILE_OF_ONE } else { TILE };
        let mut scratch = Scratch::new::<S, C>(product.matrix);
        let mut row = product.rows.start;
        while row + tile <= product.rows.end {
            if ROWS == 1 {
                multiply_tile::<S, C, ROWS, TILE_OF_ONE>(simd, x, product, row, &mut scratch);
            } else {
                multiply_tile::<S, C, ROWS, TILE>(simd, x, product, row, &mut scratch);
            }
            row += tile;
        }
        while row < product.rows.end {
            multiply_tile::<S, C, ROWS, 1>(simd, x, product, row, &mut scratch);
            row += 1;
        }
    }
}

/// The scales and biases of a tile's rows, as f32.
struct Scratch {
    scales: Vec<f32>,
    biases: Vec<f32>,
    /// From one row to the next; vectors may begin at every group.
    stride: usize,
    /// The group of each lane's unit, where a vector of units has several.
    lanes: [u32; 32],
}

impl Scratch {
    #[inline(always)]
    fn new<S: Simd, C: Code>(matrix: &Matrix) -> Self {
        let stride = matrix.groups().next_multiple_of(S::LANES) + S::LANES;
        let biases = if matrix.is_biased() { TILE_OF_ONE * stride } else { 0 };
        let lanes = std::array::from_fn(|lane| ((lane * C::VALUES) >> matrix.group_shift()) as u32);
        Self { scales: vec![0.0; TILE_OF_ONE * stride], biases: vec![0.0; biases], stride, lanes }
    }
}

/// `ROWS` rows of x times `TILE` rows of the matrix from `row` on.
#[inline(always)]
fn multiply_tile<S: Simd, C: Code, const ROWS: usize, const TILE: usize>(
    simd: S,
    x: &Packed,
    product: &Rows<'_>,
    row: usize,
    scratch: &mut Scratch,
) {
    let Rows { matrix, first_row, .. } = *product;
    let stride = scratch.stride;
    let weights: [&[u8]; TILE] = std::array::from_fn(|i| matrix.row(first_row + row + i));
    let groups = matrix.groups();
    for i in 0..TILE {
        matrix.read_scales(simd, first_row + row + i, &mut scratch.scales[i * stride..]);
        if x.stride > 0 {
            matrix.read_biases(simd, first_row + row + i, &mut scratch.biases[i * stride..]);
        }
    }
    let block = S::LANES * C::VALUES;
    let shift = matrix.group_shift();
    let is_one_group = block >> shift <= 1;
    let index = simd.load_words(bytes_of(&scratch.lanes));
    let mut sums = [[simd.splat(0.0); ROWS]; TILE];
    for (number, x) in x.values.chunks_exact(ROWS * block).enumerate() {
        let mut units = [Units { low: index, high: index }; TILE];
        for i in 0..TILE {
            let at = number * S::LANES * C::BYTES;
            // The next tile's, which lies behind: processors do not foresee what begins anew after each row.
            simd.prefetch(weights[i].as_ptr().wrapping_add(TILE * weights[i].len() + at));
            units[i] = load_units::<S, C>(simd, &weights[i][at..]);
        }
        let mut products = [[simd.splat(0.0); ROWS]; TILE];
        if groups == 0 {
            products = sums;
        }
        for value in 0..C::VALUES {
            for i in 0..TILE {
                let weights = C::scaled(simd, units[i], value);
                for j in 0..ROWS {
                    let x = simd.load(&x[j * block + value * S::LANES..]);
                    products[i][j] = simd.mul_add(weights, x, products[i][j]);
                }
            }
        }
        if groups == 0 {
            sums = products;
            continue;
        }
        for i in 0..TILE {
            let first = i * stride + ((number * block) >> shift);
            let scales = if is_one_group {
                simd.splat(scratch.scales[first])
            } else {
                simd.permute(simd.load(&scratch.scales[first..]), index)
            };
            for j in 0..ROWS {
                sums[i][j] = simd.mul_add(products[i][j], scales, sums[i][j]);
            }
        }
    }
    for group in (0..x.stride).step_by(S::LANES) {
        for i in 0..TILE {
            let biases = simd.load(&scratch.biases[i * stride + group..]);
            for j in 0..ROWS {
                sums[i][j] = simd.mul_add(biases, simd.load(&x.sums[j * x.stride + group..]), sums[i][j]);
            }
        }
    }
    for j in 0..ROWS {
        // SAFETY: nothing else of this row is in use.
        let y = unsafe { product.output(j, row..row + TILE) };
        for i in 0..TILE {
            y[i] = simd.sum(sums[i][j]);
        }
    }
}

#[inline(always)]
fn bytes_of(words: &[u32; 32]) -> &[u8] {
    // SAFETY: every byte of integers is initialized, and bytes need no alignment. Only x86-64 and arm64 have vectors, which
    // are little-endian.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}
