// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Draws from a distribution: adds random numbers to log-probabilities, and takes the largest sum.

use super::math::{EXP_COST, largest, ln};
use crate::{
    Kernels,
    simd::{Kernel, Simd, dispatch},
};

/// Numbers of each half that are drawn by themselves, whatever the number of threads.
const PART: usize = 8 * 1024;
const BLOCK: usize = 256;
/// More than any noise, which is at most -ln(-ln(1 - 2^-24)).
const MAX_NOISE: f32 = 17.0;
/// Multiplications that take as long as a random number.
const NOISE_COST: usize = 3 * EXP_COST;
const LANE_INDICES: [u8; 64] = {
    let mut bytes = [0; 64];
    let mut lane = 0;
    while lane < 16 {
        bytes[4 * lane] = lane as u8;
        lane += 1;
    }
    bytes
};

impl Kernels {
    /// Where `logprobs * factor` and Gumbel noise add up to the most. The factor is finite and above 0; the noise is MLX's
    /// for this key, but for the middle of an odd number of tokens.
    pub fn draw(&self, logprobs: &[f32], factor: f32, key: u64) -> usize {
        // The generator makes two numbers at a time, which are for the tokens at the same place in both halves.
        let half = logprobs.len().div_ceil(2);
        let mut best = vec![(f32::NEG_INFINITY, 0); half.div_ceil(PART)];
        self.pool.run_chunks(&mut best, 1, logprobs.len() * NOISE_COST, |part, best| {
            best.fill(dispatch(self.set, Draw { logprobs, half, start: part * PART, factor, key }));
        });
        let larger = |a: (f32, usize), b: (f32, usize)| if b.0 > a.0 { b } else { a };
        best.into_iter().fold((f32::NEG_INFINITY, 0), larger).1
    }
}

/// The largest sum of a part, and its index.
struct Draw<'a> {
    logprobs: &'a [f32],
    half: usize,
    start: usize,
    factor: f32,
    key: u64,
}

impl Kernel for Draw<'_> {
    type Output = (f32, usize);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> (f32, usize) {
        let Self { logprobs, half, start, factor, key } = self;
        let (first, second) = logprobs.split_at(half);
        let mut best = (f32::NEG_INFINITY, 0);
        for start in (start..half.min(start + PART)).step_by(BLOCK) {
            let mut sums = [[f32::NEG_INFINITY; BLOCK]; 2];
            for (sums, half) in sums.iter_mut().zip([first, second]) {
                let block = &half[start.min(half.len())..];
                let block = &block[..BLOCK.min(block.len())];
                sums[..block.len()].copy_from_slice(block);
            }
            // Filters leave most blocks without a token, and with some of them no noise could make one the best.
            if largest(simd, sums.as_flattened()) * factor + MAX_NOISE <= best.0 {
                continue;
            }
            for at in (0..BLOCK).step_by(S::LANES) {
                let place = simd.add_bits(simd.load_words(&LANE_INDICES), simd.splat_bits((start + at) as u32));
                let other = simd.add_bits(place, simd.splat_bits(half as u32));
                for (sums, bits) in sums.iter_mut().zip(threefry(simd, key, [place, other])) {
                    let scaled = simd.mul(simd.load(&sums[at..]), simd.splat(factor));
                    simd.store(simd.add(scaled, gumbel(simd, bits)), &mut sums[at..]);
                }
            }
            for (sums, offset) in sums.iter().zip([start, half + start]) {
                let sum = largest(simd, sums);
                if sum > best.0 {
                    best = (sum, offset + sums.iter().position(|x| *x == sum).unwrap_or(0));
                }
            }
        }
        best
    }
}

/// Noise of Gumbel's distribution, from random bits: -ln(-ln u), where u is them over 2^32, as MLX has it.
#[inline(always)]
fn gumbel<S: Simd>(simd: S, bits: S::I) -> S::F {
    let upper = simd.to_float(simd.shr(bits, 16));
    let lower = simd.to_float(simd.and(bits, simd.splat_bits(0xffff)));
    let u = simd.mul(simd.mul_add(upper, simd.splat(65_536.0), lower), simd.splat(1.0 / 4_294_967_296.0));
    // Where it would be 0 or 1, the noise would be infinite.
    let u = simd.max(simd.splat(f32::EPSILON / 1024.0), simd.min(simd.splat(1.0 - f32::EPSILON / 2.0), u));
    let exponential = simd.sub(simd.splat(0.0), ln(simd, u));
    simd.sub(simd.splat(0.0), ln(simd, exponential))
}

/// Threefry 2x32 with 20 rounds (Salmon et al., 2011).
#[inline(always)]
fn threefry<S: Simd>(simd: S, key: u64, [mut a, mut b]: [S::I; 2]) -> [S::I; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let (upper, lower) = ((key >> 32) as u32, key as u32);
    let keys = [upper, lower, upper ^ lower ^ 0x1bd1_1bda];
    a = simd.add_bits(a, simd.splat_bits(keys[0]));
    b = simd.add_bits(b, simd.splat_bits(keys[1]));
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            a = simd.add_bits(a, b);
            b = simd.add_bits(simd.shl(b, rotation), simd.shr(b, 32 - rotation));
            b = simd.xor(b, a);
        }
        a = simd.add_bits(a, simd.splat_bits(keys[(group + 1) % 3]));
        b = simd.add_bits(b, simd.splat_bits(keys[(group + 2) % 3].wrapping_add(group as u32 + 1)));
    }
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::InstructionSet;

    struct Bits(u64, [u32; 2]);

    impl Kernel for Bits {
        type Output = [u32; 2];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> [u32; 2] {
            threefry(simd, self.0, self.1.map(|word| simd.splat_bits(word))).map(|bits| {
                let mut lanes = [0.0; 16];
                simd.store(simd.float_of_bits(bits), &mut lanes);
                lanes[0].to_bits()
            })
        }
    }

    #[test]
    fn bits_are_those_of_the_authors_of_threefry() {
        // Random123's tests/kat_vectors.
        for (key, counter, bits) in [
            (0, [0, 0], [0x6b20_0159, 0x99ba_4efe]),
            (u64::MAX, [u32::MAX; 2], [0x1cb9_96fc, 0xbb00_2be7]),
            (0x1319_8a2e_0370_7344, [0x243f_6a88, 0x85a3_08d3], [0xc492_3a9c, 0x483d_f7a0]),
        ] {
            for &set in InstructionSet::ALL {
                assert_eq!(dispatch(set, Bits(key, counter)), bits, "{set:?}");
            }
        }
    }
}
