// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Products of up to eight rows with a quantized matrix on NVIDIA GPUs, by tensor cores. A matrix is read once, whatever the
// number of rows. MLX compiles this when it is first needed (qmv.rs); docs/decisions/nvidia.md says why it is ours.

#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace node_mlx {

// How scales are stored, and what the weights are.
enum Mode { AFFINE, MXFP4, NVFP4 };

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

// Reads 32 values of BITS bits. Weights are read once, so they need no place in the cache.
template <int BITS>
__device__ void load_weights(const uint32_t* from, uint32_t* to) {
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

// Reads 32 values of x.
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
    if constexpr (STRIDE > 1) {
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

// y (rows, n) = x (rows, k) @ w.T, for w of (n, k), quantized along k, a multiple of 32; rows: at most M, which is at most 8.
//
// A block computes TILES * 16 columns of y, and its WARPS warps share k. A warp takes 128 values of k at a time, of which a
// lane has 32 in each of two rows of a tile: it adds the products of integers or E2M1, and each group's scale comes to the
// sum. Tensor cores add up what four lanes have; so that other groups stay apart, a row of x takes a column for each of them.
template <typename T, Mode MODE, int BITS, int GROUP, int M, int TILES, int WARPS>
__device__ void qmv(
    const uint32_t* __restrict__ w,
    const typename Scale<T, MODE>::Stored* __restrict__ scales,
    const T* __restrict__ biases,
    const T* __restrict__ x,
    T* __restrict__ y,
    int n,
    int k,
    int rows) {
  using P = Pairs<T>;
  using S = Scale<T, MODE>;
  using O = Order<BITS>;
  constexpr int COLUMNS = GROUP >= 128 ? 1 : GROUP == 64 ? 2 : 4;  // for a row of x
  constexpr int INNER = GROUP < 32 ? 32 / GROUP : 1;               // groups in a lane's values
  constexpr int SETS = (M * COLUMNS + 7) / 8;                      // of eight columns
  constexpr int SCALES = COLUMNS == 1 ? 1 : 2 * INNER;             // that a lane needs of a row
  constexpr bool HALVES = MODE == AFFINE && BITS > P::exact_bits;  // of four bits each
  __shared__ float parts[WARPS][M][TILES * 16];

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int g = lane / 4, t = lane % 4;
  const int row0 = blockIdx.x * TILES * 16;
  const int groups = k / GROUP;
  const int own_scales = COLUMNS == 4 ? t % 2 * 2 * INNER : 0;
  const bool aligned = reinterpret_cast<uintptr_t>(x) % 16 == 0;
  int w_row[TILES][2];
  float total[SETS][TILES][4];
#pragma unroll
  for (int i = 0; i < TILES; ++i) {
    for (int h = 0; h < 2; ++h) w_row[i][h] = min(row0 + i * 16 + h * 8 + g, n - 1);
    for (int s = 0; s < SETS; ++s)
      for (int j = 0; j < 4; ++j) total[s][i][j] = 0;
  }

  for (int k0 = warp * 128; k0 < k; k0 += WARPS * 128) {
    const int own = k0 + t * 32;
    uint32_t words[TILES][2][BITS] = {}, xs[SETS][16] = {};
    typename S::Stored scale[TILES][2][SCALES];
    T bias[TILES][2][SCALES];
#pragma unroll
    for (int i = 0; i < TILES; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h)
        if (own < k) load_weights<BITS>(w + (int64_t(w_row[i][h]) * k + own) / 32 * BITS, words[i][h]);
#pragma unroll
    for (int i = 0; i < TILES; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int64_t row = int64_t(w_row[i][h]) * groups;
        load_scales<SCALES>(scales + row, k0 / GROUP + own_scales, groups, scale[i][h]);
        if constexpr (MODE == AFFINE) load_scales<SCALES>(biases + row, k0 / GROUP + own_scales, groups, bias[i][h]);
      }
#pragma unroll
    for (int s = 0; s < SETS; ++s) {
      const int m = s * (8 / COLUMNS) + g / COLUMNS;
      if (g % COLUMNS == t * COLUMNS / 4 && m < rows && own < k) load_x(x + int64_t(m) * k + own, aligned, xs[s]);
    }

#pragma unroll
    for (int inner = 0; inner < INNER; ++inner) {
      float sum[SETS][TILES][4] = {}, high[SETS][TILES][4] = {}, x_sum[SETS][4] = {};
#pragma unroll
      for (int pair = inner * 16 / INNER; pair < (inner + 1) * 16 / INNER; pair += 2) {
        uint32_t a[TILES][4], a_high[TILES][4];
#pragma unroll
        for (int i = 0; i < TILES; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            const uint32_t v = O::weights(words[i][j % 2], pair + j / 2);
            if constexpr (MODE != AFFINE) {
              a[i][j] = P::from_e2m1(v);
            } else if constexpr (HALVES) {
              a[i][j] = P::from_integers(v & 0x000f000f);
              a_high[i][j] = P::from_integers((v >> 4) & 0x000f000f);
            } else {
              a[i][j] = P::from_integers(v & ((1u << BITS) - 1) * 0x10001);
            }
          }
#pragma unroll
        for (int s = 0; s < SETS; ++s) {
          const uint32_t b[2] = {O::x(xs[s], pair), O::x(xs[s], pair + 1)};
#pragma unroll
          for (int i = 0; i < TILES; ++i) {
            P::multiply(sum[s][i], a[i], b);
            if constexpr (HALVES) P::multiply(high[s][i], a_high[i], b);
          }
          if constexpr (MODE == AFFINE) {
            const uint32_t ones[4] = {P::one, P::one, P::one, P::one};
            P::multiply(x_sum[s], ones, b);
          }
        }
      }
#pragma unroll
      for (int s = 0; s < SETS; ++s)
#pragma unroll
        for (int i = 0; i < TILES; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            const int h = j / 2, group = COLUMNS == 1 ? 0 : j % 2 * INNER + inner;
            const float factor = S::get(scale[i][h][group]);
            if constexpr (MODE == AFFINE) {
              constexpr float offset = HALVES ? 17 * P::offset : P::offset;
              const float integers = HALVES ? sum[s][i][j] + 16 * high[s][i][j] : sum[s][i][j];
              total[s][i][j] += factor * (integers - offset * x_sum[s][j]) + P::to_float(bias[i][h][group]) * x_sum[s][j];
            } else {
              total[s][i][j] += factor * P::e2m1_scale * sum[s][i][j];
            }
          }
    }
  }

  // A lane has columns 2t and 2t + 1 of rows g and g + 8; a row of x has COLUMNS neighbours.
#pragma unroll
  for (int s = 0; s < SETS; ++s)
#pragma unroll
    for (int i = 0; i < TILES; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float value = total[s][i][j];
        if constexpr (COLUMNS > 1) value += total[s][i][j ^ 1];
        if constexpr (COLUMNS == 4) value += __shfl_xor_sync(~0u, value, 1);
        const int m = s * (8 / COLUMNS) + (2 * t + j % 2) / COLUMNS;
        if (m < M && (2 * t + j % 2) % COLUMNS == 0) parts[warp][m][i * 16 + j / 2 * 8 + g] = value;
      }
  __syncthreads();
  for (int i = threadIdx.x; i < TILES * 16 * rows; i += WARPS * 32) {
    const int row = i % (TILES * 16), m = i / (TILES * 16);
    float value = 0;
#pragma unroll
    for (int part = 0; part < WARPS; ++part) value += parts[part][m][row];
    if (row0 + row < n) y[int64_t(m) * n + row0 + row] = P::from_float(value);
  }
}

// y (pairs, n): row p is a row of x (x_rows, k) times the matrix indices[p] of those in w; each row of x has the same number
// of pairs. For a grid whose second axis is the pairs.
template <typename T, Mode MODE, int BITS, int GROUP, int TILES, int WARPS>
__device__ void gather_qmv(
    const uint32_t* __restrict__ w,
    const typename Scale<T, MODE>::Stored* __restrict__ scales,
    const T* __restrict__ biases,
    const T* __restrict__ x,
    const uint32_t* __restrict__ indices,
    T* __restrict__ y,
    int n,
    int k,
    int x_rows) {
  const int pair = blockIdx.y, x_row = pair / (gridDim.y / x_rows);
  const int64_t matrix = indices[pair], groups = matrix * n * (k / GROUP);
  qmv<T, MODE, BITS, GROUP, 1, TILES, WARPS>(
      w + matrix * n * (k / 32 * BITS),
      scales + groups,
      MODE == AFFINE ? biases + groups : nullptr,
      x + int64_t(x_row) * k,
      y + int64_t(pair) * n,
      n,
      k,
      1);
}

}  // namespace node_mlx
