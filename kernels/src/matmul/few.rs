// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Up to [`Simd::FEW_ROWS`] rows: each vector of weights is decoded in registers and multiplied with all of them.

use std::{cell::Cell, ops::Range};

use super::{CACHE_LINE, CodedKernel, Rows, dispatch_coded};
use crate::{
    code::{Code, Units, load_units},
    matrix::Matrix,
    simd::{InstructionSet, Simd},
};

/// Rows of the matrix that are multiplied at a time with a single row of x, and with more of them. Dense rows are multiplied
/// with a single one as they lie, which processors foresee: a fifth faster than with four at a time and asking for the next.
const TILE_OF_ONE: usize = 4;
pub(super) const TILE: usize = 2;
/// Scales that are read at a time, about: few enough for the innermost cache, beside weights and x.
const GROUPS_READ: usize = 512;

/// Of a thread's scratch, numbers that are kept: more than the rows of any known model need.
const KEPT: usize = 1 << 16;

/// A few rows of x, in the order in which weights are decoded.
pub(super) struct Packed {
    pub rows: usize,
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
    let (rows, block) = (places(from.len()), S::LANES * C::VALUES);
    let mut values = vec![0.0; rows * columns.next_multiple_of(block)];
    let stride = if matrix.is_biased() { matrix.groups() } else { 0 };
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
    Packed { rows: from.len(), values, sums, stride }
}

/// Rows for which there is a kernel.
fn places(rows: usize) -> usize {
    rows.next_power_of_two()
}

/// The products of some rows of the matrix with all rows of x. Of several rows of x, the matrix has at least [`TILE`] rows.
pub(super) fn multiply(set: InstructionSet, x: &Packed, product: &Rows<'_>) {
    let encoding = product.matrix.format().encoding;
    match places(x.rows) {
        1 => dispatch_coded(set, encoding, Multiply::<1> { x, product }),
        2 => dispatch_coded(set, encoding, Multiply::<2> { x, product }),
        4 => dispatch_coded(set, encoding, Multiply::<4> { x, product }),
        rows => unreachable!("{rows} rows are not few"),
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
        // Where it does not hold, the compiler leaves the loops out.
        assert!(ROWS <= S::FEW_ROWS);
        let Self { x, product } = self;
        let tile = match (ROWS, C::IS_GROUPED) {
            (1, false) => 1,
            (1, true) => TILE_OF_ONE,
            _ => TILE,
        };
        let mut scratch = Scratch::take::<S, C>(product.matrix);
        // Where rows do not suffice for a tile, it begins among those that have been multiplied.
        let first = |row: usize, end: usize| if product.rows.len() < tile { row } else { row.min(end - tile) };
        let mut row = product.rows.start;
        while row < product.rows.end {
            let end = (row + scratch.capacity).min(product.rows.end);
            scratch.read(simd, product, first(row, end)..end);
            while row < end {
                row = first(row, end);
                if ROWS > 1 {
                    multiply_tile::<S, C, ROWS, TILE>(simd, x, product, row, &scratch);
                    row += TILE;
                } else if C::IS_GROUPED && row + TILE_OF_ONE <= end {
                    multiply_tile::<S, C, ROWS, TILE_OF_ONE>(simd, x, product, row, &scratch);
                    row += TILE_OF_ONE;
                } else {
                    multiply_tile::<S, C, ROWS, 1>(simd, x, product, row, &scratch);
                    row += 1;
                }
            }
        }
        scratch.give_back();
    }
}

thread_local! {
    /// The vectors of a thread's last scratch: clearing new ones takes a twentieth of a step.
    static VECTORS: Cell<[Vec<f32>; 2]> = const { Cell::new([const { Vec::new() }; 2]) };
}

/// The scales and biases of some rows, one row after the other, as f32.
struct Scratch {
    scales: Vec<f32>,
    biases: Vec<f32>,
    /// The first row.
    start: usize,
    /// The most rows: a multiple of a tile's.
    capacity: usize,
    /// The group of each lane's unit, where a vector of units has several.
    lanes: [u32; 32],
}

impl Scratch {
    /// What is in it before the first `read` has no meaning.
    #[inline(always)]
    fn take<S: Simd, C: Code>(matrix: &Matrix) -> Self {
        let groups = matrix.groups();
        let capacity = (GROUPS_READ / groups.max(1)).next_multiple_of(TILE_OF_ONE).max(TILE_OF_ONE);
        // Vectors may begin at every group.
        let size = capacity * groups + S::LANES;
        let lanes = std::array::from_fn(|lane| ((lane * C::VALUES) >> matrix.group_shift()) as u32);
        let [scales, biases] = VECTORS.take().map(|mut vector| {
            vector.resize(size.max(vector.len()), 0.0);
            vector
        });
        Self { scales, biases, start: 0, capacity, lanes }
    }

    fn give_back(self) {
        if self.scales.len() <= KEPT {
            VECTORS.set([self.scales, self.biases]);
        }
    }

    #[inline(always)]
    fn read<S: Simd>(&mut self, simd: S, product: &Rows<'_>, rows: Range<usize>) {
        self.start = rows.start;
        let rows = product.first_row + rows.start..product.first_row + rows.end;
        product.matrix.read_scales(simd, rows.clone(), &mut self.scales);
        // A vector that begins at the last group has lanes behind it. They count for nothing, but not if they are infinite.
        self.scales[rows.len() * product.matrix.groups()..][..S::LANES].fill(0.0);
        product.matrix.read_biases(simd, rows, &mut self.biases);
    }
}

/// There are no groups.
const NONE: u8 = 0;
/// A group has one or more blocks.
const WIDE: u8 = 1;
/// A block has several groups.
const NARROW: u8 = 2;

/// The scales of blocks of weights.
struct Scales<'a, I> {
    /// \[row of the tile]\[group]; vectors may begin at every group
    scales: &'a [f32],
    /// Groups in a row.
    groups: usize,
    /// Columns of a block.
    block: usize,
    /// A column shifted right by this is its group.
    shift: u32,
    /// The group of each lane's unit, counted from that of the first.
    index: I,
}

impl<'a, I: Copy> Scales<'a, I> {
    #[inline(always)]
    fn new<S: Simd<I = I>, C: Code>(simd: S, matrix: &Matrix, scratch: &'a Scratch, row: usize) -> Self {
        Self {
            scales: &scratch.scales[(row - scratch.start) * matrix.groups()..],
            groups: matrix.groups(),
            block: S::LANES * C::VALUES,
            shift: matrix.group_shift(),
            index: simd.load_words(bytes_of(&scratch.lanes)),
        }
    }

    /// Those of a block's lanes.
    ///
    /// # Safety
    /// The tile has this row, and the row this block.
    #[inline(always)]
    unsafe fn vector<S: Simd<I = I>, const GROUPS: u8>(&self, simd: S, row: usize, number: usize) -> S::F {
        let first = row * self.groups + ((number * self.block) >> self.shift);
        // SAFETY: the block's first column is in one of the row's groups.
        let scales = unsafe { self.scales.get_unchecked(first..first + S::LANES) };
        if GROUPS == NARROW { simd.permute(simd.load(scales), self.index) } else { simd.splat(scales[0]) }
    }
}

/// `ROWS` rows of x times `TILE` rows of the matrix from `row` on.
#[inline(always)]
fn multiply_tile<S: Simd, C: Code, const ROWS: usize, const TILE: usize>(
    simd: S,
    x: &Packed,
    product: &Rows<'_>,
    row: usize,
    scratch: &Scratch,
) {
    let matrix = product.matrix;
    let groups = matrix.groups();
    let rows = product.first_row + row..product.first_row + row + TILE;
    let tile = Tile::<S, ROWS, TILE>::new::<C>(simd, &x.values, matrix.rows_in(rows));
    let scales = Scales::new::<S, C>(simd, matrix, scratch, row);
    let mut sums = if !C::IS_GROUPED {
        tile.sums::<C, NONE>(&scales)
    } else if scales.block >> scales.shift <= 1 {
        tile.sums::<C, WIDE>(&scales)
    } else {
        tile.sums::<C, NARROW>(&scales)
    };
    let vectors = x.stride / S::LANES * S::LANES;
    for (i, sums) in sums.iter_mut().enumerate() {
        let biases = &scratch.biases[(row - scratch.start + i) * groups..][..x.stride];
        for (j, sum) in sums.iter_mut().enumerate() {
            let x = &x.sums[j * x.stride..(j + 1) * x.stride];
            for group in (0..vectors).step_by(S::LANES) {
                *sum = simd.mul_add(simd.load(&biases[group..]), simd.load(&x[group..]), *sum);
            }
        }
    }
    for j in 0..x.rows {
        // SAFETY: nothing else of this row is in use.
        let y = unsafe { product.output(j, row..row + TILE) };
        let x = &x.sums[j * x.stride + vectors..(j + 1) * x.stride];
        for (i, y) in y.iter_mut().enumerate() {
            let biases = &scratch.biases[(row - scratch.start + i) * groups + vectors..];
            let rest: f32 = x.iter().zip(biases).map(|(x, bias)| x * bias).sum();
            *y = simd.sum(sums[i][j]) + rest;
        }
    }
}

/// Packed rows of x, and some rows of the matrix.
struct Tile<'a, S, const ROWS: usize, const TILE: usize> {
    simd: S,
    x: &'a [f32],
    /// One row after the other.
    weights: &'a [u8],
    row_bytes: usize,
}

impl<'a, S: Simd, const ROWS: usize, const TILE: usize> Tile<'a, S, ROWS, TILE> {
    #[inline(always)]
    fn new<C: Code>(simd: S, x: &'a [f32], weights: &'a [u8]) -> Self {
        let row_bytes = weights.len() / TILE;
        let blocks = row_bytes.div_ceil(S::LANES * C::BYTES);
        assert!(weights.len() == TILE * row_bytes && x.len() == ROWS * blocks * S::LANES * C::VALUES);
        Self { simd, x, weights, row_bytes }
    }

    /// Sums of products, of each block times its scales.
    #[inline(always)]
    fn sums<C: Code, const GROUPS: u8>(&self, scales: &Scales<'_, S::I>) -> [[S::F; ROWS]; TILE] {
        let bytes = S::LANES * C::BYTES;
        let blocks = self.row_bytes / bytes;
        let mut sums = [[self.simd.splat(0.0); ROWS]; TILE];
        let none = self.simd.splat_bits(0);
        let mut units = [Units { low: none, high: none }; TILE];
        for number in 0..blocks {
            // The next tile lies behind this one: processors do not foresee what begins anew after each row.
            if TILE > 1 {
                for byte in (0..TILE * bytes).step_by(CACHE_LINE) {
                    let at = self.weights.len() + number * TILE * bytes + byte;
                    self.simd.prefetch(self.weights.as_ptr().wrapping_add(at));
                }
            }
            for (row, units) in units.iter_mut().enumerate() {
                let start = row * self.row_bytes + number * bytes;
                // SAFETY: `new` has checked that there are `TILE` rows, and this block is inside of one.
                *units = load_units::<S, C>(self.simd, unsafe { self.weights.get_unchecked(start..start + bytes) });
            }
            self.add_block::<C, GROUPS>(number, units, scales, &mut sums);
        }
        if blocks * bytes < self.row_bytes {
            for (row, units) in units.iter_mut().enumerate() {
                let rest = &self.weights[row * self.row_bytes + blocks * bytes..(row + 1) * self.row_bytes];
                *units = load_units::<S, C>(self.simd, rest);
            }
            self.add_block::<C, GROUPS>(blocks, units, scales, &mut sums);
        }
        sums
    }

    #[inline(always)]
    fn add_block<C: Code, const GROUPS: u8>(
        &self,
        number: usize,
        units: [Units<S>; TILE],
        scales: &Scales<'_, S::I>,
        sums: &mut [[S::F; ROWS]; TILE],
    ) {
        if GROUPS == NONE {
            *sums = self.multiply::<C>(number, units, *sums);
            return;
        }
        let products = self.multiply::<C>(number, units, [[self.simd.splat(0.0); ROWS]; TILE]);
        for (row, (sums, products)) in sums.iter_mut().zip(products).enumerate() {
            // SAFETY: `sums` asks for rows and blocks that there are.
            let scale = unsafe { scales.vector::<S, GROUPS>(self.simd, row, number) };
            for (sum, product) in sums.iter_mut().zip(products) {
                *sum = self.simd.mul_add(product, scale, *sum);
            }
        }
    }

    /// Adds the products of a block.
    #[inline(always)]
    fn multiply<C: Code>(
        &self,
        number: usize,
        units: [Units<S>; TILE],
        mut sums: [[S::F; ROWS]; TILE],
    ) -> [[S::F; ROWS]; TILE] {
        for value in 0..C::VALUES {
            let x: [S::F; ROWS] = std::array::from_fn(|row| {
                let start = ((number * ROWS + row) * C::VALUES + value) * S::LANES;
                // SAFETY: `new` has checked that there is an x for every block.
                self.simd.load(unsafe { self.x.get_unchecked(start..start + S::LANES) })
            });
            for (units, sums) in units.iter().zip(&mut sums) {
                let weights = C::scaled(self.simd, *units, value);
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = self.simd.mul_add(weights, x, *sum);
                }
            }
        }
        sums
    }
}

#[inline(always)]
fn bytes_of(words: &[u32; 32]) -> &[u8] {
    // SAFETY: every byte of integers is initialized, and bytes need no alignment. Only x86-64 and arm64 have vectors, which
    // are little-endian.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}
