// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Vectors of the widest kind that a processor has, and the choice of the instruction set.
//!
//! A kernel is a type with a generic, always inlined [`Kernel::run`]. [`dispatch`] calls it from a function that is
//! compiled for the chosen instruction set, so that everything inlined into it is as well.

/// Calls intrinsics, for a type whose values are proof that the processor has them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! intrinsics {
    ($($body:tt)*) => {
        // SAFETY: the value in whose method this is exists only where the processor has the features of these intrinsics, and
        // memory that they access has been checked to be inside of a slice.
        unsafe { $($body)* }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(not(target_arch = "aarch64"))]
mod portable;

// What every processor of the architecture has.
#[cfg(target_arch = "aarch64")]
use neon::Neon as Baseline;
#[cfg(not(target_arch = "aarch64"))]
use portable::Portable as Baseline;

/// Vectors of `LANES` elements. A value of an implementing type is proof that the processor has the instructions.
pub trait Simd: Copy {
    const LANES: usize;
    /// The largest number of rows of x, at most 4, with which weights are multiplied as they are decoded.
    const FEW_ROWS: usize = 4;
    /// Rows of x that the micro-kernel for many rows multiplies at a time: as many as registers allow.
    const TILE_ROWS: usize;
    /// A vector of f32.
    type F: Copy;
    /// A vector of u32.
    type I: Copy;

    /// Runs a kernel in a function of its own, compiled for this instruction set.
    fn call<K: Kernel>(self, kernel: K) -> K::Output;

    fn splat(self, x: f32) -> Self::F;
    /// The first `LANES` elements.
    fn load(self, x: &[f32]) -> Self::F;
    fn store(self, x: Self::F, to: &mut [f32]);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The larger of each pair; `b` where one is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The smaller of each pair; `b` where one is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// The sum of all lanes.
    fn sum(self, x: Self::F) -> f32;
    /// `x[index]` for each lane; an index is below `LANES`.
    fn permute(self, x: Self::F, index: Self::I) -> Self::F;
    /// `table[index]` for each lane, by the three lowest bits of an index.
    fn lookup(self, table: &[f32; 8], index: Self::I) -> Self::F;

    fn splat_bits(self, x: u32) -> Self::I;
    /// The first `4 * LANES` bytes, as little-endian words.
    fn load_words(self, x: &[u8]) -> Self::I;
    /// The first `2 * LANES` bytes, as little-endian words of 16 bits.
    fn load_halves(self, x: &[u8]) -> Self::I;
    fn and(self, a: Self::I, b: Self::I) -> Self::I;
    fn xor(self, a: Self::I, b: Self::I) -> Self::I;
    /// The wrapping sum.
    fn add_bits(self, a: Self::I, b: Self::I) -> Self::I;
    /// The wrapping difference.
    fn sub_bits(self, a: Self::I, b: Self::I) -> Self::I;
    fn shl(self, x: Self::I, count: u32) -> Self::I;
    fn shr(self, x: Self::I, count: u32) -> Self::I;
    /// The shift of signed integers.
    fn shr_signed(self, x: Self::I, count: u32) -> Self::I;
    /// Integers below 2^31 as numbers.
    fn to_float(self, x: Self::I) -> Self::F;
    fn float_of_bits(self, x: Self::I) -> Self::F;
    fn bits_of(self, x: Self::F) -> Self::I;
    /// The numbers whose IEEE half-precision forms are the low 16 bits of each lane; the others are 0.
    fn float_of_half(self, x: Self::I) -> Self::F;
    /// `a` where `condition` is 0, else `b`.
    fn where_zero(self, condition: Self::I, a: Self::F, b: Self::F) -> Self::F;
    /// Makes rows of `LANES` vectors columns.
    fn transpose(self, x: &mut [Self::I]);
    /// Brings the memory at this place, which need not be readable, nearer.
    fn prefetch(self, at: *const u8);
}

/// Vectors of an instruction set that multiplies bytes.
pub trait ByteSimd: Simd {
    /// As [`Simd::call`].
    fn call_bytes<K: ByteKernel>(self, kernel: K) -> K::Output;

    /// Adds to each 32-bit lane the products of its four bytes in `a`, which are unsigned, with those in `b`, which are signed.
    fn dot_bytes(self, a: Self::I, b: Self::I, sums: Self::I) -> Self::I;
    /// The nearest integers to numbers of magnitudes below 2^31.
    fn round(self, x: Self::F) -> Self::I;
    /// The lowest byte of each lane.
    fn store_low_bytes(self, x: Self::I, to: &mut [u8]);
}

/// What is to be compiled for every instruction set.
pub trait Kernel {
    type Output;

    /// To be marked `#[inline(always)]`, as all that it calls.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// What is to be compiled for every instruction set that multiplies bytes.
pub trait ByteKernel {
    type Output;

    /// To be marked `#[inline(always)]`, as all that it calls.
    fn run<S: ByteSimd>(self, simd: S) -> Self::Output;
}

/// An instruction set that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// What every processor has.
    #[cfg(not(target_arch = "aarch64"))]
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// `Avx512`, with products of bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// What every arm64 processor has.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl InstructionSet {
    pub const ALL: &[Self] = &[
        #[cfg(not(target_arch = "aarch64"))]
        Self::Portable,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512Vnni,
        #[cfg(target_arch = "aarch64")]
        Self::Neon,
    ];

    pub fn name(self) -> &'static str {
        match self {
            #[cfg(not(target_arch = "aarch64"))]
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => "avx512vnni",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
        }
    }

    /// What a core does in a second with many rows, in operations: two for each weight and row. The least that was measured with
    /// 4 bits, on Zen 3 and Zen 4; NEON's is a guess.
    pub fn operations_per_second(self) -> f64 {
        match self {
            #[cfg(not(target_arch = "aarch64"))]
            Self::Portable => 25e9,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 60e9,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 100e9,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => 130e9,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => 30e9,
        }
    }

    /// The best one that this processor has.
    pub fn best() -> Self {
        Self::ALL.iter().copied().rfind(|set| set.is_available()).unwrap_or(Self::ALL[0])
    }

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(not(target_arch = "aarch64"))]
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::Avx2::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::Avx512::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => avx512::Avx512Vnni::new().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
        }
    }
}

/// Runs a kernel with the given instruction set, or with the one that every processor has if this one lacks it.
pub fn dispatch<K: Kernel>(set: InstructionSet, kernel: K) -> K::Output {
    match set {
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 | InstructionSet::Avx512Vnni => {
            if let Some(simd) = avx512::Avx512::new() {
                return simd.call(kernel);
            }
        }
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => {
            if let Some(simd) = avx2::Avx2::new() {
                return simd.call(kernel);
            }
        }
        #[cfg(target_arch = "aarch64")]
        InstructionSet::Neon => {}
        #[cfg(not(target_arch = "aarch64"))]
        InstructionSet::Portable => {}
    }
    Baseline.call(kernel)
}

/// Runs a kernel with the given instruction set, if that multiplies bytes and the processor has it.
pub fn dispatch_bytes<K: ByteKernel>(set: InstructionSet, kernel: K) -> Option<K::Output> {
    match set {
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512Vnni => avx512::Avx512Vnni::new().map(|simd| simd.call_bytes(kernel)),
        _ => None,
    }
}
