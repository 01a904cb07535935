// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Products of up to eight rows with a quantized matrix on NVIDIA GPUs, by tensor cores. A matrix is read once, whatever the
// number of rows. MLX compiles this when it is first needed (qmv.rs); docs/decisions/nvidia.md says why it is ours.

#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace node_mlx {

// How scales are stored, and what the weights are. Dense ones have 16 bits and no scales.
enum Mode { AFFINE, MXFP4, NVFP4, DENSE };

// What becomes of a product: nothing, it is added to another array, or its first half gates its second (SwiGLU).
enum After { PLAIN, ADDED, SWIGLU };

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

// What a lane reads of w and of x in one step.
template <typename T, Mode MODE, int BITS, int TILES, int SETS, int SCALES>
struct Step {
  alignas(16) uint32_t words[TILES][2][BITS];
  alignas(16) typename Scale<T, MODE>::Stored scale[TILES][2][SCALES];
  alignas(16) T bias[TILES][2][SCALES];
  alignas(16) uint32_t x[SETS][16];
};

// y (rows, n) = x (rows, k) @ w.T, for w of (n, k), quantized along k, a multiple of 32; rows: at most M, which is at most 8.
// With NORMED, x is divided by its root mean square before, and multiplied by `gains` (k). With ADDED, `addend` (rows, n)
// comes to y. With SWIGLU, w is (2 n, k).
//
// A block computes TILES * 16 products of w's rows, and its WARPS warps share k. A warp takes 128 values of k at a time, of
// which a lane has 32 in each of two rows of a tile: it adds the products of integers or E2M1, and each group's scale comes
// to the sum. Tensor cores add up what four lanes have; so that other groups stay apart, a row of x takes a column for each of
// them. While a step is computed, the next one's weights are on their way.
template <typename T, Mode MODE, int BITS, int GROUP, int M, int TILES, int WARPS, bool NORMED = false, After AFTER = PLAIN>
__device__ void qmv(
    const uint32_t* __restrict__ w,
    const typename Scale<T, MODE>::Stored* __restrict__ scales,
    const T* __restrict__ biases,
    const T* __restrict__ x,
    T* __restrict__ y,
    int n,
    int k,
    int rows,
    const T* __restrict__ gains = nullptr,
    float eps = 0,
    const T* __restrict__ addend = nullptr) {
  using P = Pairs<T>;
  using S = Scale<T, MODE>;
  using O = Order<BITS>;
  constexpr int COLUMNS = GROUP >= 128 ? 1 : GROUP == 64 ? 2 : 4;  // for a row of x
  constexpr int INNER = GROUP < 32 ? 32 / GROUP : 1;               // groups in a lane's values
  constexpr int SETS = (M * COLUMNS + 7) / 8;                      // of eight columns
  constexpr int SCALES = COLUMNS == 1 ? 1 : 2 * INNER;             // that a lane needs of a row
  constexpr bool HALVES = MODE == AFFINE && BITS > P::exact_bits;  // of four bits each
  constexpr bool AHEAD = SETS <= 2;                                // as far as there are registers
  constexpr int OUTPUTS = TILES * (AFTER == SWIGLU ? 8 : 16);
  static_assert(AFTER != SWIGLU || TILES % 2 == 0);
  __shared__ float parts[WARPS][M][TILES * 16];
  __shared__ float squares[WARPS][M];

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int g = lane / 4, t = lane % 4;
  const int row0 = blockIdx.x * OUTPUTS;
  const int groups = k / GROUP;
  const int own_scales = COLUMNS == 4 ? t % 2 * 2 * INNER : 0;
  const bool aligned = reinterpret_cast<uintptr_t>(x) % 16 == 0;
  const bool aligned_gains = reinterpret_cast<uintptr_t>(gains) % 16 == 0;
  int w_row[TILES][2];
  float total[SETS][TILES][4] = {}, square[SETS] = {};
#pragma unroll
  for (int i = 0; i < TILES; ++i)
    for (int h = 0; h < 2; ++h) {
      // The rows of a gate and those of what it gates take turns.
      const int first = AFTER == SWIGLU ? i / 2 * 16 : i * 16, half = AFTER == SWIGLU && i % 2 == 1 ? n : 0;
      w_row[i][h] = min(row0 + first + h * 8 + g, n - 1) + half;
    }
  // The row of x whose values a lane has, if any.
  const auto row_of = [&](int set) { return set * (8 / COLUMNS) + g / COLUMNS; };
  const auto has_values = [&](int set) { return g % COLUMNS == t * COLUMNS / 4 && row_of(set) < rows; };

  using Reads = Step<T, MODE, BITS, TILES, SETS, SCALES>;
  const auto load = [&](int k0, Reads& step) {
    const int own = k0 + t * 32;
#pragma unroll
    for (int i = 0; i < TILES; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const uint32_t* row = w + int64_t(w_row[i][h]) * (k / 32 * BITS);
        if constexpr (MODE == DENSE) {
          load_dense(reinterpret_cast<const T*>(row), true, k0, t, k, step.words[i][h]);
        } else {
#pragma unroll
          for (uint32_t& word : step.words[i][h]) word = 0;
          if (own < k) load_weights<BITS>(row, own, step.words[i][h]);
        }
      }
    if constexpr (MODE != DENSE) {
#pragma unroll
      for (int i = 0; i < TILES; ++i)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int64_t row = int64_t(w_row[i][h]) * groups;
          load_scales<SCALES>(scales + row, k0 / GROUP + own_scales, groups, step.scale[i][h]);
          if constexpr (MODE == AFFINE) load_scales<SCALES>(biases + row, k0 / GROUP + own_scales, groups, step.bias[i][h]);
        }
    }
#pragma unroll
    for (int s = 0; s < SETS; ++s) {
#pragma unroll
      for (uint32_t& pair : step.x[s]) pair = 0;
      if (!has_values(s)) continue;
      const T* row = x + int64_t(row_of(s)) * k;
      if constexpr (MODE == DENSE) {
        load_dense(row, aligned, k0, t, k, step.x[s]);
      } else if (own < k) {
        load_x(row + own, aligned, step.x[s]);
      }
    }
  };

  const auto compute = [&](int k0, Reads& step) {
    if constexpr (NORMED) {
      const int own = k0 + t * 32;
      alignas(16) uint32_t gain[16] = {};
      if (has_values(0)) {
        if constexpr (MODE == DENSE) {
          load_dense(gains, aligned_gains, k0, t, k, gain);
        } else if (own < k) {
          load_x(gains + own, aligned_gains, gain);
        }
      }
#pragma unroll
      for (int s = 0; s < SETS; ++s)
#pragma unroll
        for (int i = 0; i < 16; ++i) {
          const float2 value = P::to_floats(step.x[s][i]);
          square[s] += value.x * value.x + value.y * value.y;
          step.x[s][i] = P::times(step.x[s][i], gain[i]);
        }
    }
#pragma unroll
    for (int inner = 0; inner < INNER; ++inner) {
      float sum[SETS][TILES][4] = {}, high[SETS][TILES][4] = {}, x_sum[SETS][4] = {};
#pragma unroll
      for (int at = 0; at < 16 / INNER; at += 2) {
        const int pair = inner * (16 / INNER) + at;
        uint32_t a[TILES][4], a_high[TILES][4];
#pragma unroll
        for (int i = 0; i < TILES; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            const uint32_t v = O::weights(step.words[i][j % 2], pair + j / 2);
            if constexpr (MODE == DENSE) {
              a[i][j] = v;
            } else if constexpr (MODE != AFFINE) {
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
          const uint32_t b[2] = {O::x(step.x[s], pair), O::x(step.x[s], pair + 1)};
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
            if constexpr (MODE == DENSE) {
              total[s][i][j] += sum[s][i][j];
            } else if constexpr (MODE == AFFINE) {
              constexpr float offset = HALVES ? 17 * P::offset : P::offset;
              const float integers = HALVES ? sum[s][i][j] + 16 * high[s][i][j] : sum[s][i][j];
              const float factor = S::get(step.scale[i][h][group]), bias = P::to_float(step.bias[i][h][group]);
              total[s][i][j] += factor * (integers - offset * x_sum[s][j]) + bias * x_sum[s][j];
            } else {
              total[s][i][j] += S::get(step.scale[i][h][group]) * P::e2m1_scale * sum[s][i][j];
            }
          }
    }
  };

  if constexpr (AHEAD) {
    Reads step, other;
    if (warp * 128 < k) load(warp * 128, step);
    for (int k0 = warp * 128; k0 < k; k0 += 2 * WARPS * 128) {
      const int second = k0 + WARPS * 128, third = second + WARPS * 128;
      if (second < k) load(second, other);
      compute(k0, step);
      if (third < k) load(third, step);
      if (second < k) compute(second, other);
    }
  } else {
    for (int k0 = warp * 128; k0 < k; k0 += WARPS * 128) {
      Reads step;
      load(k0, step);
      compute(k0, step);
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
  if constexpr (NORMED) {
#pragma unroll
    for (int s = 0; s < SETS; ++s) {
      for (int other = 1; other < 4 * COLUMNS; other *= 2) square[s] += __shfl_xor_sync(~0u, square[s], other);
      if (t == 0 && g % COLUMNS == 0 && row_of(s) < M) squares[warp][row_of(s)] = square[s];
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < OUTPUTS * rows; i += WARPS * 32) {
    const int column = i % OUTPUTS, m = i / OUTPUTS;
    if (row0 + column >= n) continue;
    float scale = 1;
    if constexpr (NORMED) {
      float sum = 0;
      for (int part = 0; part < WARPS; ++part) sum += squares[part][m];
      scale = rsqrtf(sum / k + eps);
    }
    const auto product = [&](int row) {
      float sum = 0;
#pragma unroll
      for (int part = 0; part < WARPS; ++part) sum += parts[part][m][row];
      return sum * scale;
    };
    const int64_t at = int64_t(m) * n + row0 + column;
    if constexpr (AFTER == SWIGLU) {
      const int row = column / 16 * 32 + column % 16;
      const float gate = product(row);
      y[at] = P::from_float(gate / (1 + __expf(-gate)) * product(row + 16));
    } else if constexpr (AFTER == ADDED) {
      y[at] = P::from_float(P::to_float(addend[at]) + product(column));
    } else {
      y[at] = P::from_float(product(column));
    }
  }
}

// y (pairs, n): row p is a row of x (x_rows, k) times the matrix indices[p] of those in w; each row of x has the same number
// of pairs. For a grid whose second axis is the pairs.
template <typename T, Mode MODE, int BITS, int GROUP, int TILES, int WARPS, After AFTER = PLAIN>
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
  const int64_t w_rows = int64_t(indices[pair]) * n * (AFTER == SWIGLU ? 2 : 1), groups = w_rows * (k / GROUP);
  qmv<T, MODE, BITS, GROUP, 1, TILES, WARPS, false, AFTER>(
      w + w_rows * (k / 32 * BITS),
      MODE == DENSE ? nullptr : scales + groups,
      MODE == AFFINE ? biases + groups : nullptr,
      x + int64_t(x_row) * k,
      y + int64_t(pair) * n,
      n,
      k,
      1);
}

}  // namespace node_mlx
