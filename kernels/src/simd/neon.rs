// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! arm64, where every processor has NEON.

use std::arch::aarch64::*;

use super::{Kernel, Simd};

const LANES: usize = 4;

#[derive(Debug, Clone, Copy)]
pub struct Neon;

/// The bytes of the elements of 4 bytes with these indices.
#[inline(always)]
fn bytes_of(index: uint32x4_t) -> uint8x16_t {
    intrinsics!(vreinterpretq_u8_u32(vmlaq_u32(vdupq_n_u32(0x0302_0100), index, vdupq_n_u32(0x0404_0404))))
}

impl Simd for Neon {
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 10;
    type F = float32x4_t;
    type I = uint32x4_t;

    #[inline(never)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        intrinsics!(vdupq_n_f32(x))
    }
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::F {
        assert!(x.len() >= LANES);
        intrinsics!(vld1q_f32(x.as_ptr()))
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32]) {
        assert!(to.len() >= LANES);
        intrinsics!(vst1q_f32(to.as_mut_ptr(), x))
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(vaddq_f32(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(vsubq_f32(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(vmulq_f32(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(vdivq_f32(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        intrinsics!(vfmaq_f32(c, a, b))
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(vbslq_f32(vcgtq_f32(a, b), a, b))
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(vbslq_f32(vcltq_f32(a, b), a, b))
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        intrinsics!(vaddvq_f32(x))
    }
    #[inline(always)]
    fn permute(self, x: Self::F, index: Self::I) -> Self::F {
        intrinsics!(vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(x), bytes_of(index))))
    }
    #[inline(always)]
    fn lookup(self, table: &[f32; 8], index: Self::I) -> Self::F {
        intrinsics!({
            let low = vreinterpretq_u8_f32(vld1q_f32(table.as_ptr()));
            let high = vreinterpretq_u8_f32(vld1q_f32(table.as_ptr().add(LANES)));
            let index = bytes_of(vandq_u32(index, vdupq_n_u32(7)));
            vreinterpretq_f32_u8(vqtbl2q_u8(uint8x16x2_t(low, high), index))
        })
    }

    #[inline(always)]
    fn splat_bits(self, x: u32) -> Self::I {
        intrinsics!(vdupq_n_u32(x))
    }
    #[inline(always)]
    fn load_words(self, x: &[u8]) -> Self::I {
        assert!(x.len() >= 4 * LANES);
        intrinsics!(vreinterpretq_u32_u8(vld1q_u8(x.as_ptr())))
    }
    #[inline(always)]
    fn load_halves(self, x: &[u8]) -> Self::I {
        assert!(x.len() >= 2 * LANES);
        intrinsics!(vmovl_u16(vreinterpret_u16_u8(vld1_u8(x.as_ptr()))))
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        intrinsics!(vandq_u32(a, b))
    }
    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        intrinsics!(veorq_u32(a, b))
    }
    #[inline(always)]
    fn add_bits(self, a: Self::I, b: Self::I) -> Self::I {
        intrinsics!(vaddq_u32(a, b))
    }
    #[inline(always)]
    fn sub_bits(self, a: Self::I, b: Self::I) -> Self::I {
        intrinsics!(vsubq_u32(a, b))
    }
    #[inline(always)]
    fn shl(self, x: Self::I, count: u32) -> Self::I {
        intrinsics!(vshlq_u32(x, vdupq_n_s32(count.cast_signed())))
    }
    #[inline(always)]
    fn shr(self, x: Self::I, count: u32) -> Self::I {
        intrinsics!(vshlq_u32(x, vdupq_n_s32(-count.cast_signed())))
    }
    #[inline(always)]
    fn shr_signed(self, x: Self::I, count: u32) -> Self::I {
        intrinsics!(vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(x), vdupq_n_s32(-count.cast_signed()))))
    }
    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        intrinsics!(vcvtq_f32_u32(x))
    }
    #[inline(always)]
    fn float_of_bits(self, x: Self::I) -> Self::F {
        intrinsics!(vreinterpretq_f32_u32(x))
    }
    #[inline(always)]
    fn bits_of(self, x: Self::F) -> Self::I {
        intrinsics!(vreinterpretq_u32_f32(x))
    }
    // By arithmetic, as the instruction is not in stable Rust: the exponent's bias is 127 instead of 15, and subnormal
    // numbers become those of f32 before the product.
    #[inline(always)]
    fn float_of_half(self, x: Self::I) -> Self::F {
        intrinsics!({
            let magnitude = vshlq_n_u32::<13>(vandq_u32(x, vdupq_n_u32(0x7fff)));
            let sign = vshlq_n_u32::<16>(vandq_u32(x, vdupq_n_u32(0x8000)));
            let factor = vreinterpretq_f32_u32(vdupq_n_u32((127 + 112) << 23));
            let value = vreinterpretq_u32_f32(vmulq_f32(vreinterpretq_f32_u32(magnitude), factor));
            let special = vcgeq_u32(magnitude, vdupq_n_u32(0x7c00 << 13));
            let value = vorrq_u32(value, vandq_u32(special, vdupq_n_u32(0x7f80_0000)));
            vreinterpretq_f32_u32(vorrq_u32(value, sign))
        })
    }
    #[inline(always)]
    fn where_zero(self, condition: Self::I, a: Self::F, b: Self::F) -> Self::F {
        intrinsics!(vbslq_f32(vceqzq_u32(condition), a, b))
    }
    #[inline(always)]
    fn transpose(self, x: &mut [Self::I]) {
        assert!(x.len() == LANES);
        intrinsics!({
            let pairs =
                [vtrn1q_u32(x[0], x[1]), vtrn2q_u32(x[0], x[1]), vtrn1q_u32(x[2], x[3]), vtrn2q_u32(x[2], x[3])]
                    .map(|pair| vreinterpretq_u64_u32(pair));
            x[0] = vreinterpretq_u32_u64(vtrn1q_u64(pairs[0], pairs[2]));
            x[1] = vreinterpretq_u32_u64(vtrn1q_u64(pairs[1], pairs[3]));
            x[2] = vreinterpretq_u32_u64(vtrn2q_u64(pairs[0], pairs[2]));
            x[3] = vreinterpretq_u32_u64(vtrn2q_u64(pairs[1], pairs[3]));
        })
    }
    #[inline(always)]
    fn prefetch(self, _: *const u8) {}
}
