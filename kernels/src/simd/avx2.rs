// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! x86-64 with AVX2, FMA and F16C: nearly all processors since 2013.

use std::arch::x86_64::*;

use super::{Kernel, Simd};

const LANES: usize = 8;

#[derive(Debug, Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    #[inline]
    pub fn new() -> Option<Self> {
        let has =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        has.then_some(Self(()))
    }
}

impl Simd for Avx2 {
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 6;
    type F = __m256;
    type I = __m256i;

    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx2,fma,f16c")]
        fn compiled<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` exists only where the processor has these features.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        intrinsics!(_mm256_set1_ps(x))
    }
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::F {
        assert!(x.len() >= LANES);
        intrinsics!(_mm256_loadu_ps(x.as_ptr()))
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32]) {
        assert!(to.len() >= LANES);
        intrinsics!(_mm256_storeu_ps(to.as_mut_ptr(), x))
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        intrinsics!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        intrinsics!({
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        })
    }
    #[inline(always)]
    fn permute(self, x: Self::F, index: Self::I) -> Self::F {
        intrinsics!(_mm256_permutevar8x32_ps(x, index))
    }
    #[inline(always)]
    fn lookup(self, table: &[f32; 8], index: Self::I) -> Self::F {
        intrinsics!(_mm256_permutevar8x32_ps(_mm256_loadu_ps(table.as_ptr()), index))
    }

    #[inline(always)]
    fn splat_bits(self, x: u32) -> Self::I {
        intrinsics!(_mm256_set1_epi32(x.cast_signed()))
    }
    #[inline(always)]
    fn load_words(self, x: &[u8]) -> Self::I {
        assert!(x.len() >= 4 * LANES);
        intrinsics!(_mm256_loadu_si256(x.as_ptr().cast()))
    }
    #[inline(always)]
    fn load_halves(self, x: &[u8]) -> Self::I {
        assert!(x.len() >= 2 * LANES);
        intrinsics!(_mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().cast())))
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        intrinsics!(_mm256_and_si256(a, b))
    }
    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        intrinsics!(_mm256_xor_si256(a, b))
    }
    #[inline(always)]
    fn add_bits(self, a: Self::I, b: Self::I) -> Self::I {
        intrinsics!(_mm256_add_epi32(a, b))
    }
    #[inline(always)]
    fn sub_bits(self, a: Self::I, b: Self::I) -> Self::I {
        intrinsics!(_mm256_sub_epi32(a, b))
    }
    #[inline(always)]
    fn shl(self, x: Self::I, count: u32) -> Self::I {
        intrinsics!(_mm256_sll_epi32(x, _mm_cvtsi32_si128(count.cast_signed())))
    }
    #[inline(always)]
    fn shr(self, x: Self::I, count: u32) -> Self::I {
        intrinsics!(_mm256_srl_epi32(x, _mm_cvtsi32_si128(count.cast_signed())))
    }
    #[inline(always)]
    fn shr_signed(self, x: Self::I, count: u32) -> Self::I {
        intrinsics!(_mm256_sra_epi32(x, _mm_cvtsi32_si128(count.cast_signed())))
    }
    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        intrinsics!(_mm256_cvtepi32_ps(x))
    }
    #[inline(always)]
    fn float_of_bits(self, x: Self::I) -> Self::F {
        intrinsics!(_mm256_castsi256_ps(x))
    }
    #[inline(always)]
    fn bits_of(self, x: Self::F) -> Self::I {
        intrinsics!(_mm256_castps_si256(x))
    }
    #[inline(always)]
    fn float_of_half(self, x: Self::I) -> Self::F {
        intrinsics!({
            let halves = _mm256_packus_epi32(x, x);
            _mm256_cvtph_ps(_mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b10_00>(halves)))
        })
    }
    #[inline(always)]
    fn where_zero(self, condition: Self::I, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!({
            let zero = _mm256_cmpeq_epi32(condition, _mm256_setzero_si256());
            _mm256_blendv_ps(b, a, _mm256_castsi256_ps(zero))
        })
    }
    #[inline(always)]
    fn transpose(self, x: &mut [Self::I]) {
        assert!(x.len() == LANES);
        intrinsics!({
            let mut pairs = [_mm256_setzero_si256(); LANES];
            for i in 0..4 {
                pairs[2 * i] = _mm256_unpacklo_epi32(x[2 * i], x[2 * i + 1]);
                pairs[2 * i + 1] = _mm256_unpackhi_epi32(x[2 * i], x[2 * i + 1]);
            }
            let mut fours = [_mm256_setzero_si256(); LANES];
            for i in 0..2 {
                fours[4 * i] = _mm256_unpacklo_epi64(pairs[4 * i], pairs[4 * i + 2]);
                fours[4 * i + 1] = _mm256_unpackhi_epi64(pairs[4 * i], pairs[4 * i + 2]);
                fours[4 * i + 2] = _mm256_unpacklo_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
                fours[4 * i + 3] = _mm256_unpackhi_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
            }
            for i in 0..4 {
                x[i] = _mm256_permute2x128_si256::<0x20>(fours[i], fours[4 + i]);
                x[4 + i] = _mm256_permute2x128_si256::<0x31>(fours[i], fours[4 + i]);
            }
        })
    }
    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        intrinsics!(_mm_prefetch::<_MM_HINT_T0>(at.cast()))
    }
}
