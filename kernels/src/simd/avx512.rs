// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! x86-64 with AVX-512 (F, BW, DQ, VL): servers since 2017, and AMD's processors since 2022. With VNNI: servers since 2019,
//! and all of AMD's.

use std::arch::x86_64::*;

use super::{ByteKernel, ByteSimd, Kernel, Simd};

const LANES: usize = 16;

/// Vectors of 512 bits, with or without products of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Vectors<const VNNI: bool>(());

pub type Avx512 = Vectors<false>;
pub type Avx512Vnni = Vectors<true>;

impl<const VNNI: bool> Vectors<VNNI> {
    #[inline]
    pub fn new() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && (!VNNI || is_x86_feature_detected!("avx512vnni"));
        has.then_some(Self(()))
    }
}

impl<const VNNI: bool> Simd for Vectors<VNNI> {
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 12;
    type F = __m512;
    type I = __m512i;

    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        fn compiled<S: Simd, K: Kernel>(simd: S, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` exists only where the processor has these features; AVX-512 includes the last three.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        intrinsics!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::F {
        assert!(x.len() >= LANES);
        intrinsics!(_mm512_loadu_ps(x.as_ptr()))
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32]) {
        assert!(to.len() >= LANES);
        intrinsics!(_mm512_storeu_ps(to.as_mut_ptr(), x))
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        intrinsics!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        intrinsics!(_mm512_reduce_add_ps(x))
    }
    #[inline(always)]
    fn permute(self, x: Self::F, index: Self::I) -> Self::F {
        intrinsics!(_mm512_permutexvar_ps(index, x))
    }
    #[inline(always)]
    fn lookup(self, table: &[f32; 8], index: Self::I) -> Self::F {
        // Twice, as an index has four bits here.
        intrinsics!(_mm512_permutexvar_ps(index, _mm512_broadcast_f32x8(_mm256_loadu_ps(table.as_ptr()))))
    }

    #[inline(always)]
    fn splat_bits(self, x: u32) -> Self::I {
        intrinsics!(_mm512_set1_epi32(x.cast_signed()))
    }
    #[inline(always)]
    fn load_words(self, x: &[u8]) -> Self::I {
        assert!(x.len() >= 4 * LANES);
        intrinsics!(_mm512_loadu_si512(x.as_ptr().cast()))
    }
    #[inline(always)]
    fn load_halves(self, x: &[u8]) -> Self::I {
        assert!(x.len() >= 2 * LANES);
        intrinsics!(_mm512_cvtepu16_epi32(_mm256_loadu_si256(x.as_ptr().cast())))
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        intrinsics!(_mm512_and_si512(a, b))
    }
    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        intrinsics!(_mm512_xor_si512(a, b))
    }
    #[inline(always)]
    fn add_bits(self, a: Self::I, b: Self::I) -> Self::I {
        intrinsics!(_mm512_add_epi32(a, b))
    }
    #[inline(always)]
    fn sub_bits(self, a: Self::I, b: Self::I) -> Self::I {
        intrinsics!(_mm512_sub_epi32(a, b))
    }
    #[inline(always)]
    fn shl(self, x: Self::I, count: u32) -> Self::I {
        intrinsics!(_mm512_sll_epi32(x, _mm_cvtsi32_si128(count.cast_signed())))
    }
    #[inline(always)]
    fn shr(self, x: Self::I, count: u32) -> Self::I {
        intrinsics!(_mm512_srl_epi32(x, _mm_cvtsi32_si128(count.cast_signed())))
    }
    #[inline(always)]
    fn shr_signed(self, x: Self::I, count: u32) -> Self::I {
        intrinsics!(_mm512_sra_epi32(x, _mm_cvtsi32_si128(count.cast_signed())))
    }
    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        intrinsics!(_mm512_cvtepi32_ps(x))
    }
    #[inline(always)]
    fn float_of_bits(self, x: Self::I) -> Self::F {
        intrinsics!(_mm512_castsi512_ps(x))
    }
    #[inline(always)]
    fn bits_of(self, x: Self::F) -> Self::I {
        intrinsics!(_mm512_castps_si512(x))
    }
    #[inline(always)]
    fn float_of_half(self, x: Self::I) -> Self::F {
        intrinsics!(_mm512_cvtph_ps(_mm512_cvtepi32_epi16(x)))
    }
    #[inline(always)]
    fn where_zero(self, condition: Self::I, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm512_mask_blend_ps(_mm512_testn_epi32_mask(condition, condition), b, a))
    }
    #[inline(always)]
    fn transpose(self, x: &mut [Self::I]) {
        assert!(x.len() == LANES);
        intrinsics!({
            let mut pairs = [_mm512_setzero_si512(); LANES];
            for i in 0..8 {
                pairs[2 * i] = _mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]);
                pairs[2 * i + 1] = _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]);
            }
            // fours[4 i + c] holds, in its 128-bit part p, column 4 p + c of rows 4 i to 4 i + 3.
            let mut fours = [_mm512_setzero_si512(); LANES];
            for i in 0..4 {
                fours[4 * i] = _mm512_unpacklo_epi64(pairs[4 * i], pairs[4 * i + 2]);
                fours[4 * i + 1] = _mm512_unpackhi_epi64(pairs[4 * i], pairs[4 * i + 2]);
                fours[4 * i + 2] = _mm512_unpacklo_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
                fours[4 * i + 3] = _mm512_unpackhi_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
            }
            for c in 0..4 {
                let even = _mm512_shuffle_i32x4::<0x88>(fours[c], fours[4 + c]);
                let odd = _mm512_shuffle_i32x4::<0xdd>(fours[c], fours[4 + c]);
                let even_below = _mm512_shuffle_i32x4::<0x88>(fours[8 + c], fours[12 + c]);
                let odd_below = _mm512_shuffle_i32x4::<0xdd>(fours[8 + c], fours[12 + c]);
                x[c] = _mm512_shuffle_i32x4::<0x88>(even, even_below);
                x[4 + c] = _mm512_shuffle_i32x4::<0x88>(odd, odd_below);
                x[8 + c] = _mm512_shuffle_i32x4::<0xdd>(even, even_below);
                x[12 + c] = _mm512_shuffle_i32x4::<0xdd>(odd, odd_below);
            }
        })
    }
    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        intrinsics!(_mm_prefetch::<_MM_HINT_T0>(at.cast()))
    }
}

impl ByteSimd for Avx512Vnni {
    fn call_bytes<K: ByteKernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        fn compiled<K: ByteKernel>(simd: Avx512Vnni, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` exists only where the processor has these features.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn round(self, x: Self::F) -> Self::I {
        intrinsics!(_mm512_cvtps_epi32(x))
    }
    #[inline(always)]
    fn store_low_bytes(self, x: Self::I, to: &mut [u8]) {
        assert!(to.len() >= LANES);
        intrinsics!(_mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(x)))
    }
    #[inline(always)]
    fn dot_bytes(self, a: Self::I, b: Self::I, sums: Self::I) -> Self::I {
        intrinsics!(_mm512_dpbusd_epi32(sums, a, b))
    }
}
