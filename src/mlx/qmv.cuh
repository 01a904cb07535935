// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Products of up to eight rows with a matrix on NVIDIA GPUs, by tensor cores. A matrix is read once, whatever the number of
// rows. MLX compiles this behind weights.cuh when it is first needed (qmv.rs); docs/decisions/nvidia.md says why it is ours.

#pragma once

namespace node_mlx {

// What becomes of a product: nothing, it is added to another array, or its first half gates its second (SwiGLU).
enum After { PLAIN, ADDED, SWIGLU };

// What a lane reads of w and of x in one step.
template <typename T, Mode MODE, int BITS, int TILES, int SETS, int SCALES, int NORMED_ROWS>
struct Step {
  alignas(16) uint32_t words[TILES][2][BITS];
  alignas(16) typename Scale<T, MODE>::Stored scale[TILES][2][SCALES];
  alignas(16) T bias[TILES][2][SCALES];
  alignas(16) uint32_t x[SETS][16];
  // For a norm, four of each row, and of what they are multiplied by.
  uint2 raw[NORMED_ROWS + 1];
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
  __shared__ alignas(16) uint2 normed[NORMED ? WARPS : 1][NORMED ? M : 1][32];

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int g = lane / 4, t = lane % 4;
  const int row0 = blockIdx.x * OUTPUTS;
  const int groups = k / GROUP;
  const int own_scales = COLUMNS == 4 ? t % 2 * 2 * INNER : 0;
  const bool aligned = reinterpret_cast<uintptr_t>(x) % 16 == 0;
  const bool aligned_gains = reinterpret_cast<uintptr_t>(gains) % 16 == 0;
  int w_row[TILES][2];
  float total[SETS][TILES][4] = {}, square[NORMED ? M : 1] = {};
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

  using Reads = Step<T, MODE, BITS, TILES, SETS, SCALES, NORMED ? M : 0>;
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
    if constexpr (NORMED) {
      const int at = k0 + lane * 4;
#pragma unroll
      for (int m = 0; m < M; ++m) step.raw[m] = at < k && m < rows ? load_four(x + int64_t(m) * k + at, aligned) : uint2{0, 0};
      step.raw[M] = at < k ? load_four(gains + at, aligned_gains) : uint2{0, 0};
    } else {
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
    }
  };

  // Every lane multiplies four values of a row; those that need them find them in shared memory.
  const auto normalize = [&](Reads& step) {
    const uint2 gain = step.raw[NORMED ? M : 0];
    __syncwarp();
#pragma unroll
    for (int m = 0; m < M; ++m) {
      const uint2 raw = step.raw[NORMED ? m : 0];
      const float2 a = P::to_floats(raw.x), b = P::to_floats(raw.y);
      square[m] += a.x * a.x + a.y * a.y + (b.x * b.x + b.y * b.y);
      normed[warp][m][lane] = {P::times(raw.x, gain.x), P::times(raw.y, gain.y)};
    }
    __syncwarp();
#pragma unroll
    for (int s = 0; s < SETS; ++s)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int first = MODE == DENSE ? i * 8 + t * 2 : t * 8 + i * 2;
        reinterpret_cast<uint4&>(step.x[s][4 * i]) =
            has_values(s) ? reinterpret_cast<const uint4&>(normed[warp][row_of(s)][first]) : uint4{0, 0, 0, 0};
      }
  };

  const auto compute = [&](Reads& step) {
    if constexpr (NORMED) normalize(step);
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
      compute(step);
      if (third < k) load(third, step);
      if (second < k) compute(other);
    }
  } else {
    for (int k0 = warp * 128; k0 < k; k0 += WARPS * 128) {
      Reads step;
      load(k0, step);
      compute(step);
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
    for (int m = 0; m < M; ++m) {
#pragma unroll
      for (int other = 16; other > 0; other /= 2) square[m] += __shfl_xor_sync(~0u, square[m], other);
      if (lane == 0) squares[warp][m] = square[m];
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

// The same for one row of x, and weights that are not quantized. A warp computes one product of w's rows, or the two that
// SwiGLU takes: many warps with few reads each are faster than tiles for tensor cores, which have nothing to unpack here.
template <typename T, int WARPS, bool NORMED = false, After AFTER = PLAIN>
__device__ void dense_gemv(
    const T* __restrict__ w,
    const T* __restrict__ x,
    T* __restrict__ y,
    int n,
    int k,
    const T* __restrict__ gains = nullptr,
    float eps = 0,
    const T* __restrict__ addend = nullptr) {
  using P = Pairs<T>;
  constexpr int ROWS = AFTER == SWIGLU ? 2 : 1;
  constexpr int READS = 4 / ROWS;  // at a time
  const int lane = threadIdx.x % 32, row = blockIdx.x * WARPS + threadIdx.x / 32;
  if (row >= n) return;
  const bool aligned = reinterpret_cast<uintptr_t>(x) % 16 == 0, aligned_gains = reinterpret_cast<uintptr_t>(gains) % 16 == 0;
  float sum[ROWS] = {}, square = 0;
  for (int k0 = lane * 8; k0 < k; k0 += READS * 256) {
    uint4 words[ROWS][READS];
#pragma unroll
    for (int i = 0; i < READS; ++i)
#pragma unroll
      for (int r = 0; r < ROWS; ++r) {
        const T* from = w + (int64_t(row) + int64_t(r) * n) * k + k0 + i * 256;
        words[r][i] = k0 + i * 256 < k ? __ldcs(reinterpret_cast<const uint4*>(from)) : uint4{0, 0, 0, 0};
      }
#pragma unroll
    for (int i = 0; i < READS; ++i) {
      const int at = k0 + i * 256;
      if (at >= k) break;
      uint2 values[2] = {load_four(x + at, aligned), load_four(x + at + 4, aligned)};
      uint2 gain[2];
      if constexpr (NORMED) gain[0] = load_four(gains + at, aligned_gains), gain[1] = load_four(gains + at + 4, aligned_gains);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        uint32_t pair = reinterpret_cast<const uint32_t*>(values)[j];
        if constexpr (NORMED) {
          const float2 raw = P::to_floats(pair);
          square += raw.x * raw.x + raw.y * raw.y;
          pair = P::times(pair, reinterpret_cast<const uint32_t*>(gain)[j]);
        }
        const float2 b = P::to_floats(pair);
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
          const float2 a = P::to_floats(reinterpret_cast<const uint32_t*>(&words[r][i])[j]);
          sum[r] += a.x * b.x + a.y * b.y;
        }
      }
    }
  }
#pragma unroll
  for (int other = 16; other > 0; other /= 2) {
#pragma unroll
    for (float& part : sum) part += __shfl_xor_sync(~0u, part, other);
    if constexpr (NORMED) square += __shfl_xor_sync(~0u, square, other);
  }
  if (lane != 0) return;
  const float scale = NORMED ? rsqrtf(square / k + eps) : 1;
  float value = sum[0] * scale;
  if constexpr (AFTER == SWIGLU) value = value / (1 + __expf(-value)) * (sum[ROWS - 1] * scale);
  if constexpr (AFTER == ADDED) value += P::to_float(addend[row]);
  y[row] = P::from_float(value);
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
