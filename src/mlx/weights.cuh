// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Weights in MLX's formats, as NVIDIA's tensor cores take them: what qmv.cuh multiplies by.

#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace node_mlx {

// How scales are stored, and what the weights are. Dense ones have 16 bits and no scales.
enum Mode { AFFINE, MXFP4, NVFP4, DENSE };

// Pairs of 16-bit floats, as tensor cores take them.
template <typename T>
struct Pairs;

template <>
struct Pairs<__nv_bfloat16> {
  static constexpr uint32_t one = 0x3f803f80;
  // Integers of more bits are not exact.
  static constexpr int exact_bits = 7;
  // What `from_integers` adds.
  static constexpr float offset = 128;
  // What `from_e2m1` gives is too small by this factor.
  static constexpr float e2m1_scale = 1;

  // c (16, 8) += a (16, 16) @ b (16, 8)
  static __device__ void multiply(float* c, const uint32_t* a, const uint32_t* b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
  static __device__ uint32_t times(uint32_t a, uint32_t b) {
    const __nv_bfloat162 product = __hmul2(reinterpret_cast<const __nv_bfloat162&>(a), reinterpret_cast<const __nv_bfloat162&>(b));
    return reinterpret_cast<const uint32_t&>(product);
  }
  static __device__ float2 to_floats(uint32_t v) {
    return {__uint_as_float(v << 16), __uint_as_float(v & 0xffff0000)};
  }
  static __device__ float to_float(__nv_bfloat16 value) {
    return __bfloat162float(value);
  }
  static __device__ __nv_bfloat16 from_float(float value) {
    return __float2bfloat16(value);
  }
  // Of the integer in each half: these are the last bits of a float, 128 larger.
  static __device__ uint32_t from_integers(uint32_t v) {
    return v | 0x43004300;
  }
  // Of the lowest four bits of each half. Their exponent counts from another zero than bf16's: 2^126 moves it.
  static __device__ uint32_t from_e2m1(uint32_t v) {
    uint32_t bits = ((v & 0x00080008) << 12) | ((v & 0x00070007) << 6);
    const __nv_bfloat162 factor(__ushort_as_bfloat16(0x7e80), __ushort_as_bfloat16(0x7e80));
    const __nv_bfloat162 moved = __hmul2(reinterpret_cast<const __nv_bfloat162&>(bits), factor);
    return reinterpret_cast<const uint32_t&>(moved);
  }
};

template <>
struct Pairs<__half> {
  static constexpr uint32_t one = 0x3c003c00;
  static constexpr int exact_bits = 10;
  static constexpr float offset = 0;
  static constexpr float e2m1_scale = 16384;

  static __device__ void multiply(float* c, const uint32_t* a, const uint32_t* b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
  static __device__ uint32_t times(uint32_t a, uint32_t b) {
    const __half2 product = __hmul2(reinterpret_cast<const __half2&>(a), reinterpret_cast<const __half2&>(b));
    return reinterpret_cast<const uint32_t&>(product);
  }
  static __device__ float2 to_floats(uint32_t v) {
    return __half22float2(reinterpret_cast<const __half2&>(v));
  }
  static __device__ float to_float(__half value) {
    return __half2float(value);
  }
  static __device__ __half from_float(float value) {
    return __float2half(value);
  }
  // The last bits of a float, 1024 larger: too much to leave it to the sum.
  static __device__ uint32_t from_integers(uint32_t v) {
    const uint32_t bits = v | 0x64006400;
    const __half2 base(__ushort_as_half(0x6400), __ushort_as_half(0x6400));
    const __half2 integers = __hsub2(reinterpret_cast<const __half2&>(bits), base);
    return reinterpret_cast<const uint32_t&>(integers);
  }
  static __device__ uint32_t from_e2m1(uint32_t v) {
    return ((v & 0x00080008) << 12) | ((v & 0x00070007) << 9);
  }
};

// The scale of a group: in the weights' dtype, E8M0 (a power of two) or E4M3.
template <typename T, Mode MODE>
struct Scale {
  using Stored = T;
  static __device__ float get(T stored) {
    return Pairs<T>::to_float(stored);
  }
};
template <typename T>
struct Scale<T, MXFP4> {
  using Stored = uint8_t;
  static __device__ float get(uint8_t stored) {
    return __uint_as_float(stored == 0 ? 0x00400000 : uint32_t(stored) << 23);
  }
};
template <typename T>
struct Scale<T, NVFP4> {
  using Stored = uint8_t;
  static __device__ float get(uint8_t stored) {
    return 256 * __half2float(__ushort_as_half((stored & 0x80) << 8 | (stored & 0x7f) << 7));
  }
};

// Reads 32 values of BITS bits of a row; `at`: the first of them. Weights are read once, so they need no place in the cache.
template <int BITS>
__device__ void load_weights(const uint32_t* row, int at, uint32_t* to) {
  const uint32_t* from = row + at / 32 * BITS;
#pragma unroll
  for (int i = 0; i < BITS; ++i) {
    if constexpr (BITS % 4 == 0) {
      if (i % 4 == 0) reinterpret_cast<uint4&>(to[i]) = __ldcs(reinterpret_cast<const uint4*>(from + i));
    } else if constexpr (BITS % 2 == 0) {
      if (i % 2 == 0) reinterpret_cast<uint2&>(to[i]) = __ldcs(reinterpret_cast<const uint2*>(from + i));
    } else {
      to[i] = __ldg(from + i);
    }
  }
}

// Reads the scales of COUNT groups: with one load, where all rows begin at a multiple of COUNT.
template <int COUNT, typename T>
__device__ void load_scales(const T* row, int at, int groups, T* to) {
  constexpr int BYTES = COUNT * sizeof(T);
  if (COUNT > 1 && groups % COUNT == 0) {
    const T* from = row + (at < groups ? at : 0);
    if constexpr (BYTES == 2) reinterpret_cast<uint16_t&>(*to) = __ldg(reinterpret_cast<const uint16_t*>(from));
    if constexpr (BYTES == 4) reinterpret_cast<uint32_t&>(*to) = __ldg(reinterpret_cast<const uint32_t*>(from));
    if constexpr (BYTES == 8) reinterpret_cast<uint2&>(*to) = __ldg(reinterpret_cast<const uint2*>(from));
  } else {
#pragma unroll
    for (int i = 0; i < COUNT; ++i) to[i] = row[min(at + i, groups - 1)];
  }
}

// Reads four values.
template <typename T>
__device__ uint2 load_four(const T* from, bool aligned) {
  if (aligned) return __ldg(reinterpret_cast<const uint2*>(from));
  const uint16_t* values = reinterpret_cast<const uint16_t*>(from);
  return {values[0] | uint32_t(values[1]) << 16, values[2] | uint32_t(values[3]) << 16};
}

// Reads 32 values.
template <typename T>
__device__ void load_x(const T* from, bool aligned, uint32_t* to) {
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    if (aligned) {
      if (i % 4 == 0) reinterpret_cast<uint4&>(to[i]) = __ldg(reinterpret_cast<const uint4*>(from + 2 * i));
    } else {
      const uint16_t* values = reinterpret_cast<const uint16_t*>(from + 2 * i);
      to[i] = values[0] | uint32_t(values[1]) << 16;
    }
  }
}

// Reads 32 values of 16 bits for lane t of four, which take eight at a time by turns: in what order does not matter here.
template <typename T>
__device__ void load_dense(const T* row, bool aligned, int k0, int t, int k, uint32_t* to) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int at = k0 + i * 32 + t * 8;
    if (at >= k) {
      reinterpret_cast<uint4&>(to[4 * i]) = uint4{0, 0, 0, 0};
    } else if (aligned) {
      reinterpret_cast<uint4&>(to[4 * i]) = __ldg(reinterpret_cast<const uint4*>(row + at));
    } else {
      const uint16_t* values = reinterpret_cast<const uint16_t*>(row + at);
#pragma unroll
      for (int j = 0; j < 4; ++j) to[4 * i + j] = values[2 * j] | uint32_t(values[2 * j + 1]) << 16;
    }
  }
}

// Which values of a lane's 32 make up pair `index`: `first` and `first` + STRIDE, which one masked shift takes out of a word.
template <int BITS>
struct Order {
  static constexpr int STRIDE = BITS == 2 ? 8 : BITS == 4 ? 4 : BITS == 8 ? 2 : 1;
  static __device__ constexpr int first(int index) {
    return index / STRIDE * 2 * STRIDE + index % STRIDE;
  }

  // The pair, with other bits above those of each.
  static __device__ uint32_t weights(const uint32_t* words, int index) {
    const int at = first(index);
    if constexpr (BITS == 16) {
      return words[index];
    } else if constexpr (STRIDE > 1) {
      return words[at * BITS / 32] >> (at * BITS % 32);
    } else {
      return one(words, at) | one(words, at + 1) << 16;
    }
  }
  static __device__ uint32_t x(const uint32_t* values, int index) {
    const int at = first(index);
    if constexpr (STRIDE == 1) return values[at / 2];
    return __byte_perm(values[at / 2], values[(at + STRIDE) / 2], at % 2 == 1 ? 0x7632 : 0x5410);
  }

 private:
  static __device__ uint32_t one(const uint32_t* words, int at) {
    const int word = at * BITS / 32, bit = at * BITS % 32;
    const uint32_t next = bit + BITS > 32 ? words[word + 1] : 0;
    return __funnelshift_r(words[word], next, bit) & ((1u << BITS) - 1);
  }
};

}  // namespace node_mlx
