// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Rows of x as integers, for processors that multiply bytes.
//!
//! The numbers of a group are integers of about 24 bits times the group's scale, so that what is lost is as little as in
//! products of f32. An integer is three signed bytes, its digits to the base of 256.

use super::panel::MAX_LANES;
use crate::{code::ByteCode, simd::ByteSimd};

/// Digits of a number, the highest first.
pub(super) const DIGITS: usize = 3;
/// The largest integer: with lower digits, rounding could carry to a highest one of 128.
const LARGEST: f32 = (127 << 16) as f32;
/// Numbers below are as precise as this one is. Its inverse, times the largest integer, is still finite.
const SMALLEST: f32 = 1e-30;

/// What the integers of a group are to be multiplied with, and the sum of its numbers. Both are NaN if a number is NaN or
/// infinite.
pub(super) struct Group {
    pub scale: f32,
    pub sum: f32,
}

/// Splits the numbers of a group, and hands over the digits of four each, in the order in which weights become bytes.
#[inline(always)]
pub(super) fn split<S: ByteSimd, C: ByteCode>(simd: S, x: &[f32], mut take: impl FnMut(usize, [u32; DIGITS])) -> Group {
    let zero = simd.splat(0.0);
    let (mut largest, mut finite) = (zero, zero);
    for x in x.chunks_exact(S::LANES) {
        let x = simd.load(x);
        finite = simd.mul_add(x, zero, finite);
        largest = simd.max(simd.max(x, simd.sub(zero, x)), largest);
    }
    if simd.sum(finite).is_nan() {
        (0..x.len() / 4).for_each(|index| take(index, [0; DIGITS]));
        return Group { scale: f32::NAN, sum: f32::NAN };
    }
    let mut lanes = [0.0; MAX_LANES];
    simd.store(largest, &mut lanes);
    let largest = lanes.into_iter().fold(SMALLEST, f32::max);
    let factor = simd.splat(LARGEST / largest);
    let mut order = [[0; 4]; MAX_LANES];
    for (lane, index) in order.iter_mut().enumerate() {
        let (unit, at) = (lane / C::VALUES, lane % C::VALUES);
        index[0] = (unit * C::VALUES + C::bytes_at(at / 4)[at % 4]) as u8;
    }
    let order = simd.load_words(order.as_flattened());
    let (half, mut total) = (simd.splat_bits(128), simd.splat_bits(0));
    for (number, x) in x.chunks_exact(S::LANES).enumerate() {
        let integers = simd.round(simd.mul(simd.permute(simd.load(x), order), factor));
        total = simd.add_bits(total, integers);
        // The lowest byte is a digit from -128 to 127; it is taken off before the next one.
        let upper = simd.shr_signed(simd.add_bits(integers, half), 8);
        let highest = simd.shr_signed(simd.add_bits(upper, half), 8);
        let digits = [highest, upper, integers].map(|integers| {
            let mut bytes = [0; MAX_LANES];
            simd.store_low_bytes(integers, &mut bytes);
            bytes
        });
        for i in 0..S::LANES / 4 {
            let words = digits.map(|bytes| u32::from_le_bytes(bytes.as_chunks().0[i]));
            take(number * S::LANES / 4 + i, words);
        }
    }
    let scale = largest / LARGEST;
    Group { scale, sum: scale * simd.sum(simd.to_float(total)) }
}
