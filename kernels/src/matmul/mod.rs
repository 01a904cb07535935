// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Products of f32 rows with encoded matrices.
//!
//! A few rows are multiplied with weights as they are decoded (`few`); more of them with panels of weights that are
//! decoded into the cache before (`many`), or, where the processor multiplies bytes, brought there as integers (`many_bytes`).
//! What is summed in which order does not depend on the number of threads.

mod digits;
mod few;
mod many;
mod many_bytes;
mod panel;

use std::{marker::PhantomData, ops::Range};

use crate::{
    Kernels,
    code::{Bf16, ByteCode, Code, E2m1, E4m3, F16, F32, Integer},
    matrix::{Encoding, Matrix},
    pool::Shares,
    simd::{ByteKernel, ByteSimd, InstructionSet, Kernel, Simd, dispatch, dispatch_bytes},
};

/// Rows of a matrix are shared out in multiples of this, two vectors of the widest kind.
const PANEL: usize = 32;
/// Passes over a few rows, of which each decodes the weights again, that take less time than one over panels. Measured with
/// AVX2 and 4 bits, where twelve rows take as long either way.
const FEW_PASSES: usize = 3;
/// Bytes that come from memory at a time.
const CACHE_LINE: usize = 64;
/// Bytes of weights in a task: enough to be worth the sharing out.
const TASK_BYTES: usize = 16 * 1024;

impl Kernels {
    /// `y = x @ matrix.T` with the first matrix; x: (rows, matrix.columns()) → y: (rows, matrix.rows())
    ///
    /// # Panics
    /// If the slices do not have these sizes.
    pub fn matmul(&self, x: &[f32], matrix: &Matrix, y: &mut [f32]) {
        let rows = rows_of(y, matrix);
        if rows == 0 {
            return;
        }
        let all: Vec<usize> = (0..rows).collect();
        multiply(self, x, &[Part { matrix: 0, from: &all, to: &all }], matrix, y);
    }

    /// `y[i] = x[from[i]] @ matrices[which[i]].T`; x: (any, columns) → y: (from.len(), rows)
    ///
    /// # Panics
    /// If the slices do not have these sizes, or an index is too large.
    pub fn gather_matmul(&self, x: &[f32], from: &[usize], which: &[usize], matrices: &Matrix, y: &mut [f32]) {
        assert!(from.len() == which.len() && from.len() == rows_of(y, matrices));
        let mut order: Vec<usize> = (0..which.len()).collect();
        order.sort_by_key(|&row| which[row]);
        let sources: Vec<usize> = order.iter().map(|&row| from[row]).collect();
        let mut parts = Vec::new();
        let mut start = 0;
        for rows in order.chunk_by(|&a, &b| which[a] == which[b]) {
            let range = start..start + rows.len();
            start = range.end;
            parts.push(Part { matrix: which[rows[0]], from: &sources[range], to: rows });
        }
        multiply(self, x, &parts, matrices, y);
    }
}

fn rows_of(y: &[f32], matrix: &Matrix) -> usize {
    assert!(y.len().is_multiple_of(matrix.rows()));
    y.len() / matrix.rows()
}

/// Rows of x, and where their products go, that are multiplied with one of the matrices.
struct Part<'a> {
    matrix: usize,
    from: &'a [usize],
    to: &'a [usize],
}

fn multiply(kernels: &Kernels, x: &[f32], parts: &[Part<'_>], matrix: &Matrix, y: &mut [f32]) {
    let rows = matrix.rows();
    let cost = y.len() * matrix.columns();
    let task_rows = if kernels.pool.shares(cost) {
        // Small enough that each thread has several, as some threads are slower than others.
        let share = rows.div_ceil(4 * kernels.threads());
        (TASK_BYTES / matrix.row_bytes()).min(share).max(1).next_multiple_of(PANEL)
    } else {
        rows
    };
    let tasks = rows.div_ceil(task_rows);
    let limits = dispatch(kernels.set, Limits);
    let has_bytes = many_bytes::serves(kernels.set, matrix);
    let products: Vec<Product> = parts
        .iter()
        .map(|part| {
            let few_rows = if rows < few::TILE { 1 } else { limits.few_rows };
            let x = if part.from.len().div_ceil(few_rows) <= FEW_PASSES {
                let from = part.from.chunks(few_rows);
                Packed::Few(from.map(|from| few::pack(kernels.set, x, from, matrix)).collect())
            } else if has_bytes {
                Packed::ManyBytes(many_bytes::pack(kernels, x, part.from, matrix))
            } else {
                Packed::Many(many::pack(kernels, x, part.from, matrix, limits.tile_rows))
            };
            Product { first_row: part.matrix * rows, to: part.to, x }
        })
        .collect();
    let y = Shares::new(y);
    kernels.pool.run(products.len() * tasks, cost, |task| {
        let start = task % tasks * task_rows;
        let range = start..(start + task_rows).min(rows);
        products[task / tasks].run(kernels.set, matrix, range, &y);
    });
}

/// [`Simd::FEW_ROWS`] and [`Simd::TILE_ROWS`].
struct RowLimits {
    few_rows: usize,
    tile_rows: usize,
}

/// Asks an instruction set for them.
struct Limits;

impl Kernel for Limits {
    type Output = RowLimits;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> RowLimits {
        RowLimits { few_rows: S::FEW_ROWS, tile_rows: S::TILE_ROWS }
    }
}

/// Packed rows of x, to be multiplied with one of the matrices.
struct Product<'a> {
    /// Counted over all matrices.
    first_row: usize,
    /// Rows of y.
    to: &'a [usize],
    x: Packed,
}

enum Packed {
    /// Some rows for each pass.
    Few(Vec<few::Packed>),
    Many(many::Packed),
    ManyBytes(many_bytes::Packed),
}

impl Product<'_> {
    /// The products with some of the matrix's rows, which no other thread computes.
    fn run(&self, set: InstructionSet, matrix: &Matrix, rows: Range<usize>, y: &Shares<'_, f32>) {
        let mut product = Rows { matrix, first_row: self.first_row, rows, to: self.to, y };
        match &self.x {
            Packed::Few(passes) => {
                for x in passes {
                    few::multiply(set, x, &product);
                    product.to = product.to.get(x.rows..).unwrap_or_default();
                }
            }
            Packed::Many(x) => dispatch_coded(set, matrix.format().encoding, many::Multiply { x, product: &product }),
            Packed::ManyBytes(x) => {
                dispatch_coded_bytes(set, matrix.format().encoding, many_bytes::Multiply { x, product: &product });
            }
        }
    }
}

/// What a task computes: y's columns `rows`, of all rows `to`.
struct Rows<'a> {
    matrix: &'a Matrix<'a>,
    /// Of this matrix, counted over all.
    first_row: usize,
    rows: Range<usize>,
    to: &'a [usize],
    y: &'a Shares<'a, f32>,
}

impl Rows<'_> {
    /// Columns of a row of y, which has the given index in `to`.
    ///
    /// # Safety
    /// Those that exist at the same time do not overlap.
    #[allow(clippy::mut_from_ref)]
    #[inline(always)]
    unsafe fn output(&self, row: usize, columns: Range<usize>) -> &mut [f32] {
        assert!(columns.start >= self.rows.start && columns.end <= self.rows.end);
        let start = self.to[row] * self.matrix.rows();
        // SAFETY: each row of y is named once among all parts, no two tasks have the same columns, and this task does not use
        // them twice at a time.
        unsafe { self.y.part(start + columns.start..start + columns.end) }
    }
}

/// A [`Kernel`] that is compiled for every encoding as well.
trait CodedKernel {
    type Output;

    /// To be marked `#[inline(always)]`, as all that it calls.
    fn run<S: Simd, C: Code>(self, simd: S) -> Self::Output;
}

/// Runs a kernel with the given instruction set and encoding.
fn dispatch_coded<K: CodedKernel>(set: InstructionSet, encoding: Encoding, kernel: K) -> K::Output {
    struct Coded<K, C>(K, PhantomData<C>);

    impl<K: CodedKernel, C: Code> Kernel for Coded<K, C> {
        type Output = K::Output;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> K::Output {
            self.0.run::<S, C>(simd)
        }
    }

    fn with<C: Code, K: CodedKernel>(set: InstructionSet, kernel: K) -> K::Output {
        dispatch(set, Coded::<K, C>(kernel, PhantomData))
    }

    match encoding {
        Encoding::Integer { bits: 2 } => with::<Integer<2>, K>(set, kernel),
        Encoding::Integer { bits: 3 } => with::<Integer<3>, K>(set, kernel),
        Encoding::Integer { bits: 4 } => with::<Integer<4>, K>(set, kernel),
        Encoding::Integer { bits: 5 } => with::<Integer<5>, K>(set, kernel),
        Encoding::Integer { bits: 6 } => with::<Integer<6>, K>(set, kernel),
        Encoding::Integer { .. } => with::<Integer<8>, K>(set, kernel),
        Encoding::E2m1 => with::<E2m1, K>(set, kernel),
        Encoding::E4m3 => with::<E4m3, K>(set, kernel),
        Encoding::F16 => with::<F16, K>(set, kernel),
        Encoding::Bf16 => with::<Bf16, K>(set, kernel),
        Encoding::F32 => with::<F32, K>(set, kernel),
    }
}

/// A [`ByteKernel`] that is compiled for every encoding as integers as well.
trait CodedByteKernel {
    type Output;

    /// To be marked `#[inline(always)]`, as all that it calls.
    fn run<S: ByteSimd, C: ByteCode>(self, simd: S) -> Self::Output;
}

/// Runs a kernel with the given instruction set and encoding, if the one multiplies bytes and the other has integers.
fn dispatch_coded_bytes<K: CodedByteKernel>(set: InstructionSet, encoding: Encoding, kernel: K) -> Option<K::Output> {
    struct Coded<K, C>(K, PhantomData<C>);

    impl<K: CodedByteKernel, C: ByteCode> ByteKernel for Coded<K, C> {
        type Output = K::Output;

        #[inline(always)]
        fn run<S: ByteSimd>(self, simd: S) -> K::Output {
            self.0.run::<S, C>(simd)
        }
    }

    fn with<C: ByteCode, K: CodedByteKernel>(set: InstructionSet, kernel: K) -> Option<K::Output> {
        dispatch_bytes(set, Coded::<K, C>(kernel, PhantomData))
    }

    match encoding {
        Encoding::Integer { bits: 2 } => with::<Integer<2>, K>(set, kernel),
        Encoding::Integer { bits: 3 } => with::<Integer<3>, K>(set, kernel),
        Encoding::Integer { bits: 4 } => with::<Integer<4>, K>(set, kernel),
        Encoding::Integer { bits: 5 } => with::<Integer<5>, K>(set, kernel),
        Encoding::Integer { bits: 6 } => with::<Integer<6>, K>(set, kernel),
        Encoding::Integer { bits: 8 } => with::<Integer<8>, K>(set, kernel),
        _ => None,
    }
}
